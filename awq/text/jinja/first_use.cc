#include "awq/text/jinja/first_use.h"

#include <algorithm>

namespace awq::jinja {
namespace {

enum class Use { kNone, kRead, kWritten };

class Search {
 public:
  explicit Search(std::string_view name) : name_(name) {}

  Use In(const Body& body) {
    for (const Statement& s : body) {
      if (const Use use = In(s); use != Use::kNone) return use;
    }
    return Use::kNone;
  }

 private:
  Use In(const ExpressionPtr& e) {
    if (e == nullptr) return Use::kNone;
    if (e->kind == Expression::kName && e->name == name_) return Use::kRead;
    Use use = In(e->operands);
    for (const Argument& a : e->arguments) {
      if (use == Use::kNone) use = In(a.value);
    }
    return use;
  }

  Use In(const std::vector<ExpressionPtr>& all) {
    for (const ExpressionPtr& e : all) {
      if (const Use use = In(e); use != Use::kNone) return use;
    }
    return Use::kNone;
  }

  // An attribute of a namespace counts neither as read nor as written.
  Use InTarget(const Expression& e) const {
    if (e.kind == Expression::kName) return e.name == name_ ? Use::kWritten : Use::kNone;
    if (e.kind != Expression::kTuple) return Use::kNone;
    const bool written = std::any_of(e.operands.begin(), e.operands.end(),
                                     [&](const auto& o) { return InTarget(*o) == Use::kWritten; });
    return written ? Use::kWritten : Use::kNone;
  }

  Use In(const Macro& macro) {
    for (const Parameter& p : macro.parameters) {
      if (p.name == name_) return Use::kWritten;
    }
    for (const Parameter& p : macro.parameters) {
      if (const Use use = In(p.otherwise); use != Use::kNone) return use;
    }
    return In(macro.body);
  }

  Use In(const Statement& s) {
    Use use = Use::kNone;
    const auto then = [&](auto&& next) {
      if (use == Use::kNone) use = next();
    };
    if (s.kind == Statement::kIf) {
      for (size_t i = 0; i < s.branches.size(); ++i) {
        if (i < s.tests.size()) then([&] { return In(s.tests[i]); });
        then([&] { return In(s.branches[i]); });
      }
      return use;
    }
    // The name of a macro is not looked at.
    if (s.target != nullptr && s.kind != Statement::kMacro)
      then([&] { return InTarget(*s.target); });
    for (const ExpressionPtr& t : s.targets) then([&] { return InTarget(*t); });
    then([&] { return In(s.tests); });
    if (s.kind == Statement::kFilter) then([&] { return In(s.body); });
    then([&] { return In(s.expression); });
    if (s.kind != Statement::kFilter) then([&] { return In(s.body); });
    then([&] { return In(s.otherwise); });
    then([&] { return In(s.filter); });
    if (s.macro != nullptr) then([&] { return In(*s.macro); });
    return use;
  }

  std::string_view name_;
};

}  // namespace

bool ReadsFirst(const Body& body, std::string_view name) {
  return Search(name).In(body) == Use::kRead;
}

}  // namespace awq::jinja
