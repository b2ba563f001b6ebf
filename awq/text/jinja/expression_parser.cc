#include "awq/text/jinja/expression_parser.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

namespace awq::jinja {
namespace {

constexpr int kMaxNesting = 150;
constexpr int kMaxDepth = 400;

// Operators of one precedence, weakest first; all of them lean left.
constexpr std::array<std::array<std::string_view, 4>, 5> kLevels = {{
    {"or"},
    {"and"},
    {"+", "-"},             // after not and comparisons
    {"*", "/", "//", "%"},  // after ~
    {"**"},
}};
constexpr int kAdditive = 2;
constexpr int kPower = 4;

constexpr std::array<std::string_view, 6> kComparisons = {"==", "!=", "<", "<=", ">", ">="};

}  // namespace

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (++parser_.nesting_ > kMaxNesting) {
    --parser_.nesting_;
    parser_.Fail("limit: nested too deeply");
  }
}

Token ExpressionParser::Next() {
  Token t = tokens_[next_];
  if (t.kind != Token::kEnd) ++next_;
  return t;
}

void ExpressionParser::Fail(std::string message) const {
  throw SyntaxError{std::move(message), Peek().at};
}

bool ExpressionParser::SkipName(std::string_view name) {
  if (!Peek().IsName(name)) return false;
  Next();
  return true;
}

bool ExpressionParser::SkipOperator(std::string_view op) {
  if (!Peek().IsOperator(op)) return false;
  Next();
  return true;
}

void ExpressionParser::ExpectOperator(std::string_view op) {
  if (!SkipOperator(op)) Fail("expected '" + std::string(op) + "'");
}

void ExpressionParser::Expect(Token::Kind kind, std::string_view shown) {
  if (Peek().kind != kind) Fail("expected '" + std::string(shown) + "'");
  Next();
}

std::string ExpressionParser::Name() {
  if (Peek().kind != Token::kName) Fail("expected a name");
  return Next().text;
}

ExpressionPtr ExpressionParser::Make(Expression::Kind kind, std::string name) const {
  auto e = std::make_unique<Expression>();
  e->kind = kind;
  e->at = Peek().at;
  e->name = std::move(name);
  return e;
}

void ExpressionParser::AddOperand(Expression& e, ExpressionPtr operand) const {
  if (operand != nullptr) e.depth = std::max(e.depth, operand->depth + 1);
  if (e.depth > kMaxDepth) Fail("limit: an expression is too long");
  e.operands.push_back(std::move(operand));
}

ExpressionPtr ExpressionParser::ParseExpression(bool with_condition) {
  const Nesting nesting(*this);
  ExpressionPtr e = ParseBinary(0);
  while (with_condition && Peek().IsName("if")) {
    ExpressionPtr condition = Make(Expression::kCondition);
    Next();
    AddOperand(*condition, ParseBinary(0));
    AddOperand(*condition, std::move(e));
    AddOperand(*condition, SkipName("else") ? ParseExpression() : nullptr);
    e = std::move(condition);
  }
  return e;
}

ExpressionPtr ExpressionParser::ParseTuple(bool with_condition) {
  ExpressionPtr first = ParseExpression(with_condition);
  if (!Peek().IsOperator(",")) return first;
  ExpressionPtr tuple = Make(Expression::kTuple);
  AddOperand(*tuple, std::move(first));
  while (SkipOperator(",")) {
    const Token& t = Peek();
    const bool ends = t.kind == Token::kPrintEnd || t.kind == Token::kBlockEnd ||
                      t.IsOperator(")") || t.IsName("if") || t.IsName("recursive");
    if (ends) break;
    AddOperand(*tuple, ParseExpression(with_condition));
  }
  return tuple;
}

namespace {

// Names, attributes that ParseTarget read, and tuples of them.
bool IsAssignable(const Expression& e) {
  if (e.kind == Expression::kName) return true;
  if (e.kind == Expression::kAttribute) return !e.names.empty();
  return e.kind == Expression::kTuple &&
         std::all_of(e.operands.begin(), e.operands.end(),
                     [](const ExpressionPtr& o) { return IsAssignable(*o); });
}

bool Assigns(const Expression& e, std::string_view name) {
  if (e.kind == Expression::kName) return e.name == name;
  return e.kind == Expression::kTuple &&
         std::any_of(e.operands.begin(), e.operands.end(),
                     [&](const ExpressionPtr& o) { return Assigns(*o, name); });
}

}  // namespace

ExpressionPtr ExpressionParser::ParseTarget(bool with_attributes, bool inside_loop) {
  const auto one = [&]() -> ExpressionPtr {
    const bool is_name = Peek().kind == Token::kName;
    ExpressionPtr target = ParsePrimary();
    if (!with_attributes || !is_name || target->kind != Expression::kName ||
        !Peek().IsOperator("."))
      return target;
    Next();
    ExpressionPtr attribute = Make(Expression::kAttribute);
    attribute->name = Name();
    attribute->names = {"target"};
    AddOperand(*attribute, std::move(target));
    return attribute;
  };
  const Nesting nesting(*this);
  const Position begin = Peek().at;
  ExpressionPtr target = one();
  if (Peek().IsOperator(",")) {
    ExpressionPtr tuple = Make(Expression::kTuple);
    AddOperand(*tuple, std::move(target));
    while (SkipOperator(",")) {
      const Token& t = Peek();
      if (t.kind == Token::kPrintEnd || t.kind == Token::kBlockEnd || t.IsOperator(")") ||
          t.IsName("in"))
        break;
      AddOperand(*tuple, one());
    }
    target = std::move(tuple);
  }
  if (!IsAssignable(*target)) throw SyntaxError{"cannot assign to this", begin};
  if (inside_loop && Assigns(*target, "loop"))
    throw SyntaxError{"cannot assign to the variable 'loop' of a loop", begin};
  return target;
}

ExpressionPtr ExpressionParser::ParseBinary(int level) {
  const auto operand = [&] {
    if (level == 1) return ParseNot();
    if (level == kAdditive) return ParseConcat();
    if (level == kPower) return ParseUnary();
    return ParseBinary(level + 1);
  };
  ExpressionPtr left = operand();
  for (;;) {
    const Token& t = Peek();
    const auto& operators = kLevels[static_cast<size_t>(level)];
    const bool fits = (t.kind == Token::kOperator || t.kind == Token::kName) && !t.text.empty() &&
                      std::find(operators.begin(), operators.end(), t.text) != operators.end();
    if (!fits) return left;
    ExpressionPtr e = Make(Expression::kBinary, t.text);
    Next();
    AddOperand(*e, std::move(left));
    AddOperand(*e, operand());
    left = std::move(e);
  }
}

ExpressionPtr ExpressionParser::ParseNot() {
  if (!Peek().IsName("not")) return ParseCompare();
  const Nesting nesting(*this);
  ExpressionPtr e = Make(Expression::kUnary, "not");
  Next();
  AddOperand(*e, ParseNot());
  return e;
}

ExpressionPtr ExpressionParser::ParseCompare() {
  ExpressionPtr first = ParseBinary(kAdditive);
  ExpressionPtr e;
  for (;;) {
    const Token& t = Peek();
    std::string op;
    if (t.kind == Token::kOperator &&
        std::find(kComparisons.begin(), kComparisons.end(), t.text) != kComparisons.end()) {
      op = t.text;
    } else if (t.IsName("in")) {
      op = "in";
    } else if (t.IsName("not") && tokens_[next_ + 1].IsName("in")) {
      op = "not in";
    } else {
      if (e == nullptr) return first;
      return e;
    }
    if (e == nullptr) {
      e = Make(Expression::kCompare);
      AddOperand(*e, std::exchange(first, nullptr));
    }
    Next();
    if (op == "not in") Next();
    e->names.push_back(op);
    AddOperand(*e, ParseBinary(kAdditive));
  }
}

ExpressionPtr ExpressionParser::ParseConcat() {
  ExpressionPtr first = ParseBinary(kAdditive + 1);
  if (!Peek().IsOperator("~")) return first;
  ExpressionPtr e = Make(Expression::kConcat);
  AddOperand(*e, std::move(first));
  while (SkipOperator("~")) AddOperand(*e, ParseBinary(kAdditive + 1));
  return e;
}

ExpressionPtr ExpressionParser::ParseUnary(bool with_filters) {
  const Nesting nesting(*this);
  ExpressionPtr e;
  if (Peek().IsOperator("-") || Peek().IsOperator("+")) {
    e = Make(Expression::kUnary, Peek().text);
    Next();
    AddOperand(*e, ParseUnary(false));
  } else {
    e = ParsePrimary();
  }
  e = ParsePostfix(std::move(e));
  return with_filters ? ParseFiltersAndTests(std::move(e)) : std::move(e);
}

ExpressionPtr ExpressionParser::ParsePrimary() {
  ExpressionPtr e = Make(Expression::kConstant);
  const Token& t = Peek();
  if (t.kind == Token::kName) {
    const std::string name = Next().text;
    if (name == "true" || name == "True")
      e->value = Value(true);
    else if (name == "false" || name == "False")
      e->value = Value(false);
    else if (name == "none" || name == "None")
      e->value = Value(None{});
    else
      e->kind = Expression::kName;
    e->name = name;
    return e;
  }
  if (t.kind == Token::kString) {
    std::string text;
    while (Peek().kind == Token::kString) text += Next().text;
    e->value = Value(std::move(text));
    return e;
  }
  if (t.kind == Token::kInt) {
    const char base = t.text.size() > 1 ? static_cast<char>(t.text[1] | 0x20) : '0';
    const bool prefixed = base == 'x' || base == 'o' || base == 'b';
    errno = 0;
    char* end = nullptr;
    const char* digits = t.text.c_str() + (prefixed ? 2 : 0);
    const int64_t number = std::strtoll(digits, &end,
                                        base == 'x'   ? 16
                                        : base == 'o' ? 8
                                        : base == 'b' ? 2
                                                      : 10);
    if (errno != 0 || *end != '\0' || end == digits)
      Fail(errno == ERANGE ? "limit: an integer beyond 64 bits" : "bad number '" + t.text + "'");
    e->value = Value(number);
    Next();
    return e;
  }
  if (t.kind == Token::kFloat) {
    e->value = Value(std::strtod(t.text.c_str(), nullptr));
    Next();
    return e;
  }
  return ParseBracketed();
}

ExpressionPtr ExpressionParser::ParseBracketed() {
  if (Peek().IsOperator("(")) {
    ExpressionPtr empty = Make(Expression::kTuple);
    Next();
    if (SkipOperator(")")) return empty;
    ExpressionPtr e = ParseTuple();
    ExpectOperator(")");
    return e;
  }
  if (Peek().IsOperator("[")) {
    ExpressionPtr e = Make(Expression::kList);
    Next();
    while (!SkipOperator("]")) {
      if (!e->operands.empty()) ExpectOperator(",");
      if (SkipOperator("]")) break;
      AddOperand(*e, ParseExpression());
    }
    return e;
  }
  if (Peek().IsOperator("{")) {
    ExpressionPtr e = Make(Expression::kDict);
    Next();
    while (!SkipOperator("}")) {
      if (!e->operands.empty()) ExpectOperator(",");
      if (SkipOperator("}")) break;
      AddOperand(*e, ParseExpression());
      ExpectOperator(":");
      AddOperand(*e, ParseExpression());
    }
    return e;
  }
  Fail(Peek().text.empty() ? "expected an expression" : "unexpected '" + Peek().text + "'");
}

ExpressionPtr ExpressionParser::ParsePostfix(ExpressionPtr e) {
  for (;;) {
    if (Peek().IsOperator(".") || Peek().IsOperator("[")) {
      e = ParseSubscript(std::move(e));
    } else if (Peek().IsOperator("(")) {
      ExpressionPtr call = Make(Expression::kCall);
      AddOperand(*call, std::move(e));
      ParseArguments(*call);
      e = std::move(call);
    } else {
      return e;
    }
  }
}

ExpressionPtr ExpressionParser::ParseSubscript(ExpressionPtr object) {
  if (SkipOperator(".")) {
    ExpressionPtr e = Make(Expression::kAttribute);
    AddOperand(*e, std::move(object));
    if (Peek().kind == Token::kInt) {
      e->kind = Expression::kItem;
      AddOperand(*e, ParsePrimary());
    } else {
      e->name = Name();
    }
    return e;
  }
  ExpressionPtr e = Make(Expression::kItem);
  ExpectOperator("[");
  AddOperand(*e, std::move(object));
  if (Peek().IsOperator("]")) {
    AddOperand(*e, Make(Expression::kTuple));
    Next();
    return e;
  }
  ExpressionPtr index = ParseSliceOrIndex();
  if (Peek().IsOperator(",")) {
    ExpressionPtr tuple = Make(Expression::kTuple);
    AddOperand(*tuple, std::move(index));
    while (SkipOperator(",")) AddOperand(*tuple, ParseSliceOrIndex());
    index = std::move(tuple);
  }
  AddOperand(*e, std::move(index));
  ExpectOperator("]");
  return e;
}

ExpressionPtr ExpressionParser::ParseSliceOrIndex() {
  const auto at_end = [&] {
    return Peek().IsOperator(":") || Peek().IsOperator("]") || Peek().IsOperator(",");
  };
  ExpressionPtr begin = Peek().IsOperator(":") ? nullptr : ParseExpression();
  if (!Peek().IsOperator(":")) return begin;
  ExpressionPtr e = Make(Expression::kSlice);
  Next();
  AddOperand(*e, std::move(begin));
  AddOperand(*e, at_end() ? nullptr : ParseExpression());
  ExpressionPtr step;
  if (SkipOperator(":") && !at_end()) step = ParseExpression();
  AddOperand(*e, std::move(step));
  return e;
}

void ExpressionParser::ParseArguments(Expression& e) {
  const Nesting nesting(*this);
  ExpectOperator("(");
  bool list = false;
  bool dict = false;
  while (!SkipOperator(")")) {
    if (!e.arguments.empty()) {
      ExpectOperator(",");
      if (SkipOperator(")")) return;
    }
    Argument a;
    if (SkipOperator("**")) {
      if (dict) Fail("a second ** argument");
      dict = true;
      a.kind = Argument::kSpreadDict;
    } else if (SkipOperator("*")) {
      if (list || dict) Fail("a * argument follows another or a ** argument");
      list = true;
      a.kind = Argument::kSpreadList;
    } else if (Peek().kind == Token::kName && tokens_[next_ + 1].IsOperator("=")) {
      if (dict) Fail("a named argument follows a ** argument");
      a.kind = Argument::kNamed;
      a.name = Next().text;
      for (const Argument& other : e.arguments) {
        if (other.name == a.name) Fail("the argument '" + a.name + "' is repeated");
      }
      Next();
    } else if (list || dict ||
               (!e.arguments.empty() && e.arguments.back().kind == Argument::kNamed)) {
      Fail("a positional argument follows a named one");
    }
    a.value = ParseExpression();
    e.depth = std::max(e.depth, a.value->depth + 1);
    if (e.depth > kMaxDepth) Fail("limit: an expression is too long");
    e.arguments.push_back(std::move(a));
  }
}

ExpressionPtr ExpressionParser::ParseFilters(ExpressionPtr e, bool first) {
  while (first || SkipOperator("|")) {
    first = false;
    ExpressionPtr filter = Make(Expression::kFilter, Name());
    while (SkipOperator(".")) filter->name += "." + Name();
    AddOperand(*filter, std::move(e));
    if (Peek().IsOperator("(")) ParseArguments(*filter);
    e = std::move(filter);
  }
  return e;
}

ExpressionPtr ExpressionParser::ParseFiltersAndTests(ExpressionPtr e) {
  for (;;) {
    if (Peek().IsOperator("|")) {
      e = ParseFilters(std::move(e));
    } else if (Peek().IsName("is")) {
      Next();
      e = ParseTest(std::move(e));
    } else if (Peek().IsOperator("(")) {
      ExpressionPtr call = Make(Expression::kCall);
      AddOperand(*call, std::move(e));
      ParseArguments(*call);
      e = std::move(call);
    } else {
      return e;
    }
  }
}

ExpressionPtr ExpressionParser::ParseTest(ExpressionPtr input) {
  const bool negated = SkipName("not");
  ExpressionPtr test = Make(Expression::kTest, Name());
  while (SkipOperator(".")) test->name += "." + Name();
  AddOperand(*test, std::move(input));
  const Token& t = Peek();
  if (t.IsOperator("(")) {
    ParseArguments(*test);
  } else {
    const bool is_operand =
        (t.kind == Token::kName && t.text != "else" && t.text != "or" && t.text != "and") ||
        t.kind == Token::kString || t.kind == Token::kInt || t.kind == Token::kFloat ||
        t.IsOperator("[") || t.IsOperator("{");
    if (t.IsName("is")) Fail("tests cannot be chained with 'is'");
    if (is_operand) {
      Argument a;
      a.value = ParsePostfix(ParsePrimary());
      test->depth = std::max(test->depth, a.value->depth + 1);
      test->arguments.push_back(std::move(a));
    }
  }
  if (!negated) return test;
  ExpressionPtr e = Make(Expression::kUnary, "not");
  AddOperand(*e, std::move(test));
  return e;
}

}  // namespace awq::jinja
