// AddedTokens: tokens that are found in the text itself, before anything else is done to it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "awq/text/regex.h"
#include "awq/text/tokenizer.h"

namespace awq {

struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  // only between characters that are no word characters
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and after it
  bool normalized = true;    // looked for in the normalized text
  bool special = false;
};

// A part of a text: an added token (id ≥ 0), or text between two (id -1).
struct TextPart {
  std::string_view text;
  TokenId id = -1;
};

// Finds a fixed set of tokens: leftmost first, the longest of those.
class AddedTokenMatcher {
 public:
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);
  // Appends the parts of a text in order; empty text is left out.
  void Split(std::string_view text, std::vector<TextPart>& out) const;
  bool empty() const { return tokens_.empty(); }

 private:
  struct Match {
    size_t begin, end;
    const AddedToken* token;
  };
  const AddedToken* LongestAt(std::string_view text, size_t at) const;
  // The span that the token takes with its flags, or false when it does not count here.
  bool Extend(std::string_view text, size_t taken, Match& match) const;

  std::vector<AddedToken> tokens_;  // of the same first byte adjacent, longest first
  std::vector<std::pair<size_t, size_t>> by_byte_;
  Regex word_;
  Regex space_;
};

}  // namespace awq
