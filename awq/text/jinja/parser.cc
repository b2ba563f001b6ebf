#include "awq/text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <set>

#include "awq/text/jinja/check_names.h"
#include "awq/text/jinja/expression_parser.h"
#include "awq/text/jinja/place_variables.h"

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
  // The end of a tag that has a body, where Jinja allows a colon.
  void BeginBody() {
    SkipOperator(":");
    EndBlock();
  }
  // A body that becomes a function of its own, out of which no `break` can lead.
  Body ParseFunctionBody(std::string_view end) {
    const int outer = std::exchange(loops_, 0);
    Body body = ParseBody({end});
    loops_ = outer;
    EndTag();
    return body;
  }
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
      s.macro = std::make_unique<Macro>();
      BeginBody();
      s.macro->body = ParseFunctionBody("endgeneration");
      return s;
    }
    if (name == "break" || name == "continue") {
      Statement s = Make(name == "break" ? Statement::kBreak : Statement::kContinue);
      if (loops_ == 0) Fail("'" + name + "' outside of a loop");
      EndBlock();
      return s;
    }
    for (std::string_view known :
         {"include", "import", "from", "extends", "block", "autoescape", "print"}) {
      if (name == known) Fail("unsupported: the tag '" + name + "'");
    }
    Fail("unknown tag '" + name + "'");
  }

  Statement ParseFor() {
    Statement s = Make(Statement::kFor);
    s.target = ParseTarget(false, true);
    if (!SkipName("in")) Fail("expected 'in'");
    s.expression = ParseTuple(false);
    if (SkipName("if")) s.filter = ParseExpression();
    s.recursive = SkipName("recursive");
    BeginBody();
    ++loops_;
    ++for_depth_;
    s.body = ParseBody({"else", "endfor"});
    --loops_;
    if (SkipName("else")) {
      BeginBody();
      const int outer = std::exchange(loops_, s.recursive ? 0 : loops_);
      s.otherwise = ParseBody({"endfor"});
      loops_ = outer;
    }
    --for_depth_;
    EndTag();
    return s;
  }

  Statement ParseIf() {
    Statement s = Make(Statement::kIf);
    s.tests.push_back(ParseTuple(false));
    BeginBody();
    s.branches.push_back(ParseBody({"elif", "else", "endif"}));
    while (SkipName("elif")) {
      s.tests.push_back(ParseTuple(false));
      BeginBody();
      s.branches.push_back(ParseBody({"elif", "else", "endif"}));
    }
    if (SkipName("else")) {
      BeginBody();
      s.branches.push_back(ParseBody({"endif"}));
    }
    EndTag();
    return s;
  }

  Statement ParseSet() {
    Statement s = Make(Statement::kSet);
    s.target = ParseTarget(true, for_depth_ > 0);
    if (SkipOperator("=")) {
      s.expression = ParseTuple();
      EndBlock();
      return s;
    }
    s.kind = Statement::kSetBlock;
    if (Peek().IsOperator("|")) s.expression = ParseFilters(nullptr);
    BeginBody();
    s.body = ParseBody({"endset"});
    EndTag();
    return s;
  }

  std::string ParameterName() {
    std::string name = Name();
    for (std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
      if (name == constant) Fail("cannot assign to '" + name + "'");
    }
    return name;
  }

  void ParseMacroBody(Macro& macro, std::string_view end) {
    BeginBody();
    macro.body = ParseFunctionBody(end);
  }

  std::vector<Parameter> ParseParameters() {
    std::vector<Parameter> out;
    ExpectOperator("(");
    while (!SkipOperator(")")) {
      if (!out.empty()) ExpectOperator(",");
      Parameter p;
      p.name = ParameterName();
      for (const Parameter& other : out) {
        if (other.name == p.name) Fail("the parameter '" + p.name + "' is repeated");
      }
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
    s.target = std::make_unique<Expression>();
    s.target->kind = Expression::kName;
    s.target->name = s.macro->name = ParameterName();
    s.macro->parameters = ParseParameters();
    ParseMacroBody(*s.macro, "endmacro");
    return s;
  }

  Statement ParseCallBlock() {
    Statement s = Make(Statement::kCallBlock);
    s.macro = std::make_unique<Macro>();
    s.macro->name = "caller";
    if (Peek().IsOperator("(")) s.macro->parameters = ParseParameters();
    s.expression = ParseExpression();
    if (s.expression->kind != Expression::kCall) Fail("expected a call");
    ParseMacroBody(*s.macro, "endcall");
    return s;
  }

  Statement ParseFilterBlock() {
    Statement s = Make(Statement::kFilter);
    s.expression = ParseFilters(nullptr, true);
    BeginBody();
    s.body = ParseBody({"endfilter"});
    EndTag();
    return s;
  }

  Statement ParseWith() {
    Statement s = Make(Statement::kWith);
    while (Peek().kind != Token::kBlockEnd) {
      if (!s.targets.empty()) ExpectOperator(",");
      s.targets.push_back(ParseTarget(false, false));
      ExpectOperator("=");
      s.tests.push_back(ParseExpression());
    }
    BeginBody();
    s.body = ParseBody({"endwith"});
    EndTag();
    return s;
  }

  int loops_ = 0;      // that a `break` here could leave
  int for_depth_ = 0;  // all loops around the present statement
};

}  // namespace

Template Parse(std::string_view source) {
  Template out;
  out.body = StatementParser(Tokenize(source)).Run();
  CheckNames(out.body);
  PlaceVariables(out);
  return out;
}

}  // namespace awq::jinja
