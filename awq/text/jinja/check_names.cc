#include "awq/text/jinja/check_names.h"

#include "awq/text/jinja/builtins.h"

namespace awq::jinja {
namespace {

void Check(const Expression* e, bool conditional) {
  if (e == nullptr) return;
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
