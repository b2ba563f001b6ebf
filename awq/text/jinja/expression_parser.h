// ExpressionParser: the expressions of a template, by Jinja's grammar and precedence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "awq/text/jinja/ast.h"

namespace awq::jinja {

class ExpressionParser {
 protected:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek() const { return tokens_[next_]; }
  Token Next();
  [[noreturn]] void Fail(std::string message) const;
  bool SkipName(std::string_view name);
  bool SkipOperator(std::string_view op);
  void ExpectOperator(std::string_view op);
  void Expect(Token::Kind kind, std::string_view shown);
  std::string Name();

  // An expression with `if … else`, or without.
  ExpressionPtr ParseExpression(bool with_condition = true);
  // One or several with commas between them, which make a tuple.
  ExpressionPtr ParseTuple(bool with_condition = true);
  // What can be assigned to: names, tuples of names, attributes of names. A loop's variable `loop`
  // cannot.
  ExpressionPtr ParseTarget(bool with_attributes, bool inside_loop);
  // | name(…) | …; `input` may be null. `first`: the first one stands without a bar.
  ExpressionPtr ParseFilters(ExpressionPtr input, bool first = false);

  // Bounds the recursion of the parser.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  ExpressionPtr Make(Expression::Kind kind, std::string name = {}) const;
  void AddOperand(Expression& e, ExpressionPtr operand) const;
  ExpressionPtr ParseBinary(int level);
  ExpressionPtr ParseNot();
  ExpressionPtr ParseCompare();
  ExpressionPtr ParseConcat();
  ExpressionPtr ParseUnary(bool with_filters = true);
  ExpressionPtr ParsePrimary();
  ExpressionPtr ParseBracketed();
  ExpressionPtr ParsePostfix(ExpressionPtr e);
  ExpressionPtr ParseFiltersAndTests(ExpressionPtr e);
  ExpressionPtr ParseTest(ExpressionPtr e);
  ExpressionPtr ParseSubscript(ExpressionPtr object);
  ExpressionPtr ParseSliceOrIndex();
  void ParseArguments(Expression& e);

  std::vector<Token> tokens_;
  size_t next_ = 0;
  int nesting_ = 0;
};

}  // namespace awq::jinja
