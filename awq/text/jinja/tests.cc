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

int64_t Int(const Value& v) {
  int64_t i = 0;
  if (const auto* u = v.As<Undefined>()) Raise(u->what);
  if (!v.Integer(i)) Raise("not all arguments converted: expected an int, found " + TypeName(v));
  return i;
}

// All cased characters are of one case, and there is one.
bool AllCased(const Value& v, bool upper) {
  bool any = false;
  const std::string text = ToString(v);
  for (std::string_view c : Characters(text)) {
    const char32_t code = DecodeUtf8(c).code;
    if (upper ? IsLower(code) : IsUpper(code)) return false;
    any = any || (upper ? IsUpper(code) : IsLower(code));
  }
  return any;
}

bool IsNumber(const Value& v) {
  double d = 0;
  return v.Number(d);
}
bool IsIterable(const Value& v) {
  return v.AsList() != nullptr || v.AsDict() != nullptr || v.String() != nullptr || v.IsUndefined();
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
    {"callable",
     [](Interpreter&, const Value& v, Arguments&) { return v.AsCallable() != nullptr; }},
    {"defined", [](Interpreter&, const Value& v, Arguments&) { return !v.IsUndefined(); }},
    {"divisibleby",
     [](Interpreter&, const Value& v, Arguments& a) {
       if (Int(Other(a)) == 0) Raise("integer modulo by zero");
       return Int(Other(a)) == -1 || Int(v) % Int(Other(a)) == 0;
     }},
    {"eq", [](Interpreter&, const Value& v, Arguments& a) { return Equal(v, Other(a)); }},
    {"equalto", [](Interpreter&, const Value& v, Arguments& a) { return Equal(v, Other(a)); }},
    {"even", [](Interpreter&, const Value& v, Arguments&) { return Int(v) % 2 == 0; }},
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
    {"lower", [](Interpreter&, const Value& v, Arguments&) { return AllCased(v, false); }},
    {"lt", [](Interpreter&, const Value& v, Arguments& a) { return Less(v, Other(a)); }},
    {"mapping", [](Interpreter&, const Value& v, Arguments&) { return v.AsDict() != nullptr; }},
    {"ne", [](Interpreter&, const Value& v, Arguments& a) { return !Equal(v, Other(a)); }},
    {"none", [](Interpreter&, const Value& v, Arguments&) { return v.IsNone(); }},
    {"number", [](Interpreter&, const Value& v, Arguments&) { return IsNumber(v); }},
    {"odd", [](Interpreter&, const Value& v, Arguments&) { return Int(v) % 2 != 0; }},
    {"sameas",
     [](Interpreter&, const Value& v, Arguments& a) {
       return TypeName(v) == TypeName(Other(a)) && Equal(v, Other(a));
     }},
    {"sequence", [](Interpreter&, const Value& v, Arguments&) { return IsIterable(v); }},
    {"string", [](Interpreter&, const Value& v, Arguments&) { return v.String() != nullptr; }},
    {"test",
     [](Interpreter&, const Value& v, Arguments&) { return FindTest(ToString(v)) != nullptr; }},
    {"true", [](Interpreter&, const Value& v,
                Arguments&) { return v.As<bool>() != nullptr && *v.As<bool>(); }},
    {"undefined", [](Interpreter&, const Value& v, Arguments&) { return v.IsUndefined(); }},
    {"upper", [](Interpreter&, const Value& v, Arguments&) { return AllCased(v, true); }},
};

}  // namespace

TestFunction FindTest(std::string_view name) {
  const auto* it = std::find_if(std::begin(kTests), std::end(kTests),
                                [&](const Entry& e) { return e.name == name; });
  return it == std::end(kTests) ? nullptr : it->test;
}

}  // namespace awq::jinja
