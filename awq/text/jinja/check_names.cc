#include "awq/text/jinja/check_names.h"

#include <algorithm>

#include "awq/text/jinja/builtins.h"

namespace awq::jinja {
namespace {

// Of those that can grow, arithmetic above all, none is evaluated here.
bool IsConstant(const Expression& e) {
  switch (e.kind) {
    case Expression::kBinary:
      if (e.name != "and" && e.name != "or") return false;
      break;
    case Expression::kConstant:
    case Expression::kList:
    case Expression::kTuple:
    case Expression::kDict:
    case Expression::kUnary:
    case Expression::kConcat:
    case Expression::kCompare:
    case Expression::kCondition:
      break;
    default:
      return false;
  }
  return std::all_of(e.operands.begin(), e.operands.end(),
                     [](const ExpressionPtr& o) { return o != nullptr && IsConstant(*o); });
}

// Whether Jinja folds `e` to a constant by its first operands: it never sees the others.
bool IsDecided(const Expression& e) {
  const bool is_logic = e.kind == Expression::kBinary && (e.name == "and" || e.name == "or");
  if ((!is_logic && e.kind != Expression::kCompare) || !IsConstant(*e.operands[0])) return false;
  try {
    const Dict none;
    Value left = Interpreter(none).Evaluate(*e.operands[0]);
    if (is_logic) return Truthy(left) == (e.name == "or");
    for (size_t i = 1; i < e.operands.size() && IsConstant(*e.operands[i]); ++i) {
      Value right = Interpreter(none).Evaluate(*e.operands[i]);
      if (!Compare(e.names[i - 1], left, right)) return true;
      left = std::move(right);
    }
  } catch (const EvalError&) {
  }
  return false;
}

void Check(const Expression* e, bool conditional) {
  if (e == nullptr || IsDecided(*e)) return;
  const bool is_filter = e->kind == Expression::kFilter;
  if (!conditional && is_filter && FindFilter(e->name) == nullptr)
    throw SyntaxError{"No filter named '" + e->name + "'.", e->at};
  if (!conditional && e->kind == Expression::kTest && FindTest(e->name) == nullptr)
    throw SyntaxError{"No test named '" + e->name + "'.", e->at};
  const bool inner = conditional || e->kind == Expression::kCondition;
  for (const ExpressionPtr& o : e->operands) Check(o.get(), inner);
  for (const Argument& a : e->arguments) Check(a.value.get(), inner);
}

void Check(const Body& body, bool conditional) {
  for (const Statement& s : body) {
    const bool is_if = s.kind == Statement::kIf;
    const bool in_body = s.kind == Statement::kSetBlock || s.kind == Statement::kFilter;
    Check(s.expression.get(), conditional && !in_body);
    Check(s.filter.get(), false);
    for (const ExpressionPtr& e : s.tests) Check(e.get(), conditional || is_if);
    for (const Body& b : s.branches) Check(b, true);
    Check(s.body, false);
    Check(s.otherwise, false);
    if (s.macro == nullptr) continue;
    for (const Parameter& p : s.macro->parameters) Check(p.otherwise.get(), false);
    Check(s.macro->body, false);
  }
}

}  // namespace

void CheckNames(const Body& body) { Check(body, false); }

}  // namespace awq::jinja
