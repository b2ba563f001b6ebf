#include "awq/text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "awq/text/jinja/expression_parser.h"

namespace awq::jinja {
namespace {

class StatementParser : private ExpressionParser {
 public:
  explicit StatementParser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

  Body Run() {
    Body body = ParseBody({});
    if (Peek().kind != Token::kEnd) Fail("unexpected end of template");
    return body;
  }

 private:
  // Statements up to a block whose name is one of `ends`, which is left to be read.
  Body ParseBody(std::initializer_list<std::string_view> ends) {
    const Nesting nesting(*this);
    Body body;
    for (;;) {
      const Token& t = Peek();
      if (t.kind == Token::kEnd) {
        if (ends.size() > 0)
          Fail("unexpected end of template, expected '" + std::string(*(ends.end() - 1)) + "'");
        return body;
      }
      if (t.kind == Token::kText) {
        Statement s = Make(Statement::kText);
        s.text = Next().text;
        body.push_back(std::move(s));
      } else if (t.kind == Token::kPrintBegin) {
        Statement s = Make(Statement::kPrint);
        Next();
        s.expression = ParseTuple();
        Expect(Token::kPrintEnd, "}}");
        body.push_back(std::move(s));
      } else {
        Expect(Token::kBlockBegin, "{%");
        if (Peek().kind != Token::kName) Fail("expected the name of a tag");
        if (std::find(ends.begin(), ends.end(), Peek().text) != ends.end()) return body;
        body.push_back(ParseStatement());
      }
    }
  }

  Statement Make(Statement::Kind kind) const {
    Statement s;
    s.kind = kind;
    s.at = Peek().at;
    return s;
  }
  void EndBlock() { Expect(Token::kBlockEnd, "%}"); }
  // {% endxxx %}, whose opening is read.
  void EndTag() {
    Next();
    EndBlock();
  }

  Statement ParseStatement() {
    const std::string name = Next().text;
    if (name == "for") return ParseFor();
    if (name == "if") return ParseIf();
    if (name == "set") return ParseSet();
    if (name == "macro") return ParseMacro();
    if (name == "call") return ParseCallBlock();
    if (name == "filter") return ParseFilterBlock();
    if (name == "with") return ParseWith();
    if (name == "generation") {
      Statement s = Make(Statement::kScope);
      EndBlock();
      s.body = ParseBody({"endgeneration"});
      EndTag();
      return s;
    }
    if (name == "break" || name == "continue") {
      Statement s = Make(name == "break" ? Statement::kBreak : Statement::kContinue);
      if (loops_ == 0) Fail("'" + name + "' outside of a loop");
      EndBlock();
      return s;
    }
    Fail("unknown tag '" + name + "'");
  }

  Statement ParseFor() {
    Statement s = Make(Statement::kFor);
    s.target = ParseTarget();
    if (!SkipName("in")) Fail("expected 'in'");
    s.expression = ParseTuple(false);
    if (SkipName("if")) s.filter = ParseExpression();
    s.recursive = SkipName("recursive");
    EndBlock();
    ++loops_;
    s.body = ParseBody({"else", "endfor"});
    --loops_;
    if (SkipName("else")) {
      EndBlock();
      s.otherwise = ParseBody({"endfor"});
    }
    EndTag();
    return s;
  }

  Statement ParseIf() {
    Statement s = Make(Statement::kIf);
    s.tests.push_back(ParseTuple(false));
    EndBlock();
    s.branches.push_back(ParseBody({"elif", "else", "endif"}));
    while (SkipName("elif")) {
      s.tests.push_back(ParseTuple(false));
      EndBlock();
      s.branches.push_back(ParseBody({"elif", "else", "endif"}));
    }
    if (SkipName("else")) {
      EndBlock();
      s.branches.push_back(ParseBody({"endif"}));
    }
    EndTag();
    return s;
  }

  Statement ParseSet() {
    Statement s = Make(Statement::kSet);
    s.target = ParseTarget();
    if (SkipOperator("=")) {
      s.expression = ParseTuple();
      EndBlock();
      return s;
    }
    s.kind = Statement::kSetBlock;
    if (Peek().IsOperator("|")) s.expression = ParseFilters(nullptr);
    EndBlock();
    s.body = ParseBody({"endset"});
    EndTag();
    return s;
  }

  std::vector<Parameter> ParseParameters() {
    std::vector<Parameter> out;
    ExpectOperator("(");
    while (!SkipOperator(")")) {
      if (!out.empty()) ExpectOperator(",");
      if (SkipOperator(")")) break;
      Parameter p;
      p.name = Name();
      if (SkipOperator("=")) {
        p.otherwise = ParseExpression();
      } else if (!out.empty() && out.back().otherwise != nullptr) {
        Fail("non-default argument follows default argument");
      }
      out.push_back(std::move(p));
    }
    return out;
  }

  Statement ParseMacro() {
    Statement s = Make(Statement::kMacro);
    s.macro = std::make_unique<Macro>();
    s.macro->name = Name();
    s.macro->parameters = ParseParameters();
    EndBlock();
    const int outer = std::exchange(loops_, 0);
    s.macro->body = ParseBody({"endmacro"});
    loops_ = outer;
    EndTag();
    return s;
  }

  Statement ParseCallBlock() {
    Statement s = Make(Statement::kCallBlock);
    s.macro = std::make_unique<Macro>();
    s.macro->name = "caller";
    if (Peek().IsOperator("(")) s.macro->parameters = ParseParameters();
    s.expression = ParseExpression();
    if (s.expression->kind != Expression::kCall) Fail("expected a call");
    EndBlock();
    const int outer = std::exchange(loops_, 0);
    s.macro->body = ParseBody({"endcall"});
    loops_ = outer;
    EndTag();
    return s;
  }

  Statement ParseFilterBlock() {
    Statement s = Make(Statement::kFilter);
    s.expression = ParseFilters(nullptr, true);
    EndBlock();
    s.body = ParseBody({"endfilter"});
    EndTag();
    return s;
  }

  Statement ParseWith() {
    Statement s = Make(Statement::kWith);
    while (Peek().kind != Token::kBlockEnd) {
      if (!s.targets.empty()) ExpectOperator(",");
      s.targets.push_back(ParseTarget());
      ExpectOperator("=");
      s.tests.push_back(ParseExpression());
    }
    EndBlock();
    s.body = ParseBody({"endwith"});
    EndTag();
    return s;
  }

  int loops_ = 0;  // around the present statement
};

}  // namespace

Body Parse(std::string_view source) { return StatementParser(Tokenize(source)).Run(); }

}  // namespace awq::jinja
