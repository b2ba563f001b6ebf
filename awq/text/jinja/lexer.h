// Lexer: cuts a template into text and the tokens of its tags, with white space removed as Jinja
// does under trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace awq::jinja {

struct Position {
  int line = 1;
  int column = 1;
};

// A template that cannot be read; text for the user.
struct SyntaxError {
  std::string message;
  Position at;
};

struct Token {
  enum Kind {
    kText,
    kBlockBegin,
    kBlockEnd,
    kPrintBegin,
    kPrintEnd,
    kName,
    kString,
    kInt,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind = kEnd;
  std::string text;  // string literals without their quotes and escapes
  Position at;

  bool Is(Kind k, std::string_view t) const { return kind == k && text == t; }
  bool IsName(std::string_view t) const { return Is(kName, t); }
  bool IsOperator(std::string_view t) const { return Is(kOperator, t); }
};

// The tokens of a template in valid UTF-8, ending with kEnd. Throws SyntaxError.
std::vector<Token> Tokenize(std::string_view source);

}  // namespace awq::jinja
