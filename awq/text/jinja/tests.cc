// Tests: what stands after `is`.
#include <algorithm>
#include <array>

#include "awq/text/jinja/builtins.h"
#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

const Value& Other(Arguments& a) {
  if (a.positional.size() != 1) Raise("a test needs one argument");
  return a.positional[0];
}

bool Leaves(Interpreter& in, const Value& v, const Value& divisor, int64_t rest) {
  return Equal(Arithmetic(in, "%", v, divisor), Value(rest));
}

// Python's `is`: objects that are one, and values of which there is one.
bool Same(const Value& a, const Value& b) {
  if (a.IsUndefined() || b.IsUndefined()) return false;
  if (a.AsList() != nullptr) return a.AsList() == b.AsList();
  if (a.AsDict() != nullptr) return a.AsDict() == b.AsDict();
  if (a.AsObject() != nullptr) return a.AsObject() == b.AsObject();
  if (TypeName(a) != TypeName(b) || !Equal(a, b)) return false;
  int64_t i = 0;
  const bool shared = a.IsNone() || a.As<bool>() != nullptr ||
                      (a.Integer(i) && i >= -5 && i <= 256) ||
                      (TypeName(a) == "str" && a.String()->size() < 2);
  if (!shared) Raise("unsupported: sameas of equal values that may be two");
  return true;
}

bool IsCallable(const Value& v) {
  return v.AsCallable() != nullptr || v.IsUndefined() ||
         (v.AsObject() != nullptr && v.AsObject()->kind == "loop");
}

bool IsSequence(const Value& v) {
  return v.IsUndefined() || v.String() != nullptr || v.AsDict() != nullptr ||
         (v.AsList() != nullptr && v.AsList()->IsSequence());
}

bool IsNumber(const Value& v) {
  double d = 0;
  return v.Number(d);
}
bool IsIterable(const Value& v) {
  return v.AsList() != nullptr || v.AsDict() != nullptr || v.String() != nullptr ||
         v.IsUndefined() ||
         (v.AsObject() != nullptr &&
          (v.AsObject()->kind == "loop" || v.AsObject()->kind == "TemplateReference"));
}

struct Entry {
  std::string_view name;
  TestFunction test;
};

constexpr Entry kTests[] = {
    {"!=", [](Interpreter&, const Value& v, Arguments& a) { return !Equal(v, Other(a)); }},
    {"<", [](Interpreter&, const Value& v, Arguments& a) { return Less(v, Other(a)); }},
    {"<=", [](Interpreter&, const Value& v, Arguments& a) { return LessOrEqual(v, Other(a)); }},
    {"==", [](Interpreter&, const Value& v, Arguments& a) { return Equal(v, Other(a)); }},
    {">", [](Interpreter&, const Value& v, Arguments& a) { return Less(Other(a), v); }},
    {">=", [](Interpreter&, const Value& v, Arguments& a) { return LessOrEqual(Other(a), v); }},
    {"boolean", [](Interpreter&, const Value& v, Arguments&) { return v.As<bool>() != nullptr; }},
    {"callable", [](Interpreter&, const Value& v, Arguments&) { return IsCallable(v); }},
    {"defined", [](Interpreter&, const Value& v, Arguments&) { return !v.IsUndefined(); }},
    {"divisibleby",
     [](Interpreter& in, const Value& v, Arguments& a) { return Leaves(in, v, Other(a), 0); }},
    {"eq", [](Interpreter&, const Value& v, Arguments& a) { return Equal(v, Other(a)); }},
    {"equalto", [](Interpreter&, const Value& v, Arguments& a) { return Equal(v, Other(a)); }},
    {"escaped", [](Interpreter&, const Value& v, Arguments&) { return v.As<Markup>() != nullptr; }},
    {"even", [](Interpreter& in, const Value& v,
                Arguments&) { return Leaves(in, v, Value(int64_t{2}), 0); }},
    {"false", [](Interpreter&, const Value& v,
                 Arguments&) { return v.As<bool>() != nullptr && !*v.As<bool>(); }},
    {"filter",
     [](Interpreter&, const Value& v, Arguments&) { return FindFilter(ToString(v)) != nullptr; }},
    {"float", [](Interpreter&, const Value& v, Arguments&) { return v.As<double>() != nullptr; }},
    {"ge", [](Interpreter&, const Value& v, Arguments& a) { return LessOrEqual(Other(a), v); }},
    {"greaterthan", [](Interpreter&, const Value& v, Arguments& a) { return Less(Other(a), v); }},
    {"gt", [](Interpreter&, const Value& v, Arguments& a) { return Less(Other(a), v); }},
    {"in", [](Interpreter&, const Value& v, Arguments& a) { return Contains(Other(a), v); }},
    {"integer",
     [](Interpreter&, const Value& v, Arguments&) { return v.As<int64_t>() != nullptr; }},
    {"iterable", [](Interpreter&, const Value& v, Arguments&) { return IsIterable(v); }},
    {"le", [](Interpreter&, const Value& v, Arguments& a) { return LessOrEqual(v, Other(a)); }},
    {"lessthan", [](Interpreter&, const Value& v, Arguments& a) { return Less(v, Other(a)); }},
    {"lower",
     [](Interpreter&, const Value& v, Arguments&) { return IsOneCase(ToString(v), false); }},
    {"lt", [](Interpreter&, const Value& v, Arguments& a) { return Less(v, Other(a)); }},
    {"mapping", [](Interpreter&, const Value& v, Arguments&) { return v.AsDict() != nullptr; }},
    {"ne", [](Interpreter&, const Value& v, Arguments& a) { return !Equal(v, Other(a)); }},
    {"none", [](Interpreter&, const Value& v, Arguments&) { return v.IsNone(); }},
    {"number", [](Interpreter&, const Value& v, Arguments&) { return IsNumber(v); }},
    {"odd", [](Interpreter& in, const Value& v,
               Arguments&) { return Leaves(in, v, Value(int64_t{2}), 1); }},
    {"sameas", [](Interpreter&, const Value& v, Arguments& a) { return Same(v, Other(a)); }},
    {"sequence", [](Interpreter&, const Value& v, Arguments&) { return IsSequence(v); }},
    {"string", [](Interpreter&, const Value& v, Arguments&) { return v.String() != nullptr; }},
    {"test",
     [](Interpreter&, const Value& v, Arguments&) { return FindTest(ToString(v)) != nullptr; }},
    {"true", [](Interpreter&, const Value& v,
                Arguments&) { return v.As<bool>() != nullptr && *v.As<bool>(); }},
    {"undefined", [](Interpreter&, const Value& v, Arguments&) { return v.IsUndefined(); }},
    {"upper",
     [](Interpreter&, const Value& v, Arguments&) { return IsOneCase(ToString(v), true); }},
};

}  // namespace

TestFunction FindTest(std::string_view name) {
  const auto* it = std::find_if(std::begin(kTests), std::end(kTests),
                                [&](const Entry& e) { return e.name == name; });
  return it == std::end(kTests) ? nullptr : it->test;
}

bool TestTakesArgument(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "!=", "<",  "<=", "==",          ">",  ">=", "divisibleby", "eq", "equalto",
      "ge", "gt", "in", "greaterthan", "le", "lt", "lessthan",    "ne", "sameas"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace awq::jinja
