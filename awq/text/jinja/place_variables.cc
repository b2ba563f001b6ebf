#include "awq/text/jinja/place_variables.h"

#include <algorithm>

#include "awq/text/jinja/block_names.h"
#include "awq/text/jinja/first_use.h"

namespace awq::jinja {
namespace {

// ---- which names a block reads and sets; blocks inside it are not entered

void Note(BlockNames& names, const Expression* e) {
  if (e == nullptr) return;
  if (e->kind == Expression::kName) names.Read(e->name);
  for (const ExpressionPtr& o : e->operands) Note(names, o.get());
  for (const Argument& a : e->arguments) Note(names, a.value.get());
}

void NoteTarget(BlockNames& names, const Expression& e, bool declares = false) {
  if (e.kind == Expression::kAttribute) {
    Note(names, &e);
  } else if (e.kind == Expression::kName) {
    if (declares)
      names.Declare(e.name);
    else
      names.Set(e.name);
  } else {
    for (const ExpressionPtr& o : e.operands) NoteTarget(names, *o, declares);
  }
}

void Note(BlockNames& names, const Body& body);

void NoteIf(BlockNames& names, const Statement& s) {
  const auto branch = [&](const Body& body) {
    names.BeginBranch();
    Note(names, body);
    names.EndBranch();
  };
  Note(names, s.tests[0].get());
  branch(s.branches[0]);
  // All `elif` are one branch, in which each is an `if` of its own.
  names.BeginBranch();
  for (size_t i = 1; i < s.tests.size(); ++i) {
    Note(names, s.tests[i].get());
    branch(s.branches[i]);
    names.Merge(1);
  }
  names.EndBranch();
  const bool has_else = s.branches.size() > s.tests.size();
  if (has_else) branch(s.branches.back());
  names.Merge(has_else ? 3 : 2);
}

void Note(BlockNames& names, const Statement& s) {
  switch (s.kind) {
    case Statement::kIf:
      return NoteIf(names, s);
    case Statement::kSet:
      Note(names, s.expression.get());
      return NoteTarget(names, *s.target);
    case Statement::kSetBlock:
    case Statement::kMacro:
      return NoteTarget(names, *s.target);
    case Statement::kWith:
      for (const ExpressionPtr& e : s.tests) Note(names, e.get());
      return;
    default:
      return Note(names, s.expression.get());
  }
}

void Note(BlockNames& names, const Body& body) {
  for (const Statement& s : body) Note(names, s);
}

// ---- what they refer to

ExpressionPtr CopyTarget(const Expression& e) {
  auto out = std::make_unique<Expression>();
  out->kind = e.kind;
  out->at = e.at;
  out->name = e.name;
  for (const ExpressionPtr& o : e.operands) out->operands.push_back(CopyTarget(*o));
  return out;
}

// Also targets. `is_default`: of a parameter, where parameters may not be set yet.
void Fill(const BlockNames& names, Expression* e, bool is_default = false) {
  if (e == nullptr) return;
  if (e->kind == Expression::kName && !names.Find(e->name, e->place))
    throw SyntaxError{"a filter of a set block uses '" + e->name + "', which nothing else does",
                      e->at};
  if (is_default) e->place.is_parameter = false;
  for (const ExpressionPtr& o : e->operands) Fill(names, o.get(), is_default);
  for (const Argument& a : e->arguments) Fill(names, a.value.get(), is_default);
}

void Fill(const BlockNames& names, Body& body);

void FillMacro(const BlockNames& outer, Macro& macro, const Position& at) {
  FunctionPlaces function(outer.function().depth() + 1);
  BlockNames names(&outer, function);
  bool has_caller = false;
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    Parameter& p = macro.parameters[i];
    p.place = names.Declare(p.name);
    has_caller = has_caller || p.name == "caller";
  }
  const auto special = [&](std::string_view name) {
    const bool is_parameter = std::any_of(macro.parameters.begin(), macro.parameters.end(),
                                          [&](const Parameter& p) { return p.name == name; });
    if (!ReadsFirst(macro.body, name)) return -1;
    if (name == "caller") macro.uses_caller = true;
    return is_parameter ? -1 : names.Declare(name);
  };
  macro.caller = special("caller");
  macro.kwargs = special("kwargs");
  macro.varargs = special("varargs");
  for (const Parameter& p : macro.parameters) {
    if (p.name == "caller" && macro.uses_caller && p.otherwise == nullptr)
      throw SyntaxError{"the parameter 'caller' needs a default", at};
    Note(names, p.otherwise.get());
  }
  Note(names, macro.body);
  macro.variables = names.Collect();
  for (Parameter& p : macro.parameters) Fill(names, p.otherwise.get(), true);
  Fill(names, macro.body);
  macro.places = function.size();
}

void FillLoop(const BlockNames& outer, Statement& s) {
  FunctionPlaces own(outer.function().depth() + 1);
  FunctionPlaces& function = s.recursive ? own : outer.function();
  BlockNames body(&outer, function);
  if (s.recursive || ReadsFirst(s.body, "loop")) s.loop = body.Declare("loop");
  NoteTarget(body, *s.target, true);
  Note(body, s.body);
  BlockNames otherwise(&outer, function);
  Note(otherwise, s.otherwise);
  Fill(outer, s.expression.get());
  s.variables = body.Collect();
  s.otherwise_variables = otherwise.Collect();
  if (s.filter != nullptr) {
    FunctionPlaces places(outer.function().depth() + 1);
    BlockNames filter(&outer, places);
    s.filter_target = CopyTarget(*s.target);
    NoteTarget(filter, *s.target, true);
    Note(filter, s.filter.get());
    s.filter_variables = filter.Collect();
    Fill(filter, s.filter_target.get());
    Fill(filter, s.filter.get());
    s.filter_places = places.size();
  }
  Fill(body, s.target.get());
  Fill(body, s.body);
  Fill(otherwise, s.otherwise);
  s.places = function.size();
}

// A set block, filter block or `with`.
void FillBlock(const BlockNames& outer, Statement& s) {
  BlockNames names(&outer, outer.function());
  for (const ExpressionPtr& t : s.targets) NoteTarget(names, *t, true);
  Note(names, s.body);
  if (s.kind == Statement::kFilter) Note(names, s.expression.get());
  s.variables = names.Collect();
  for (const ExpressionPtr& e : s.tests) Fill(outer, e.get());
  for (const ExpressionPtr& t : s.targets) Fill(names, t.get());
  Fill(names, s.body);
  Fill(outer, s.target.get());
  Fill(names, s.expression.get());
}

void Fill(const BlockNames& names, Statement& s) {
  switch (s.kind) {
    case Statement::kFor:
      return FillLoop(names, s);
    case Statement::kSetBlock:
    case Statement::kFilter:
    case Statement::kWith:
      return FillBlock(names, s);
    default:
      break;
  }
  Fill(names, s.expression.get());
  Fill(names, s.target.get());
  for (const ExpressionPtr& e : s.tests) Fill(names, e.get());
  for (Body& b : s.branches) Fill(names, b);
  if (s.macro != nullptr) FillMacro(names, *s.macro, s.at);
}

void Fill(const BlockNames& names, Body& body) {
  for (Statement& s : body) Fill(names, s);
}

}  // namespace

void PlaceVariables(Template& t) {
  FunctionPlaces function(0);
  BlockNames names(nullptr, function);
  if (ReadsFirst(t.body, "self")) t.self = names.Declare("self");
  Note(names, t.body);
  t.variables = names.Collect();
  Fill(names, t.body);
  t.places = function.size();
}

}  // namespace awq::jinja
