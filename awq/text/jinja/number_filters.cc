// Filters of numbers.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "awq/text/jinja/filter_list.h"
#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

Value Abs(Interpreter&, const Value& v, Arguments&) {
  double d = 0;
  if (!v.Number(d)) Raise("bad operand type for abs(): '" + TypeName(v) + "'");
  return Negate(v, d < 0);
}

bool ParseInteger(std::string text, int base, int64_t& out) {
  text = Strip(text);
  std::erase(text, '_');
  char* end = nullptr;
  errno = 0;
  out = std::strtoll(text.c_str(), &end, base);
  return !text.empty() && *end == '\0' && errno == 0;
}

bool ParseDouble(std::string text, double& out) {
  text = Strip(text);
  if (text.empty() || text.find_first_of("xX") != std::string::npos) return false;
  char* end = nullptr;
  out = std::strtod(text.c_str(), &end);
  return *end == '\0';
}

Value Int(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("int", a, {"default", "base"});
  Value otherwise = p.Find(0) != nullptr ? *p.Find(0) : Value(int64_t{0});
  int64_t i = 0;
  double d = 0;
  if (v.Integer(i)) return Value(i);
  if (const std::string* s = v.String()) {
    if (ParseInteger(*s, static_cast<int>(p.Int(1, 10)), i)) return Value(i);
    if (!ParseDouble(*s, d)) return otherwise;
  } else if (!v.Number(d)) {
    return otherwise;
  }
  if (!(std::abs(d) < 9.2e18)) return otherwise;
  return Value(static_cast<int64_t>(d));
}

Value Float(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("float", a, {"default"});
  double d = 0;
  if (v.Number(d) || (v.String() != nullptr && ParseDouble(*v.String(), d))) return Value(d);
  return p.Find(0) != nullptr ? *p.Find(0) : Value(0.0);
}

Value Round(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("round", a, {"precision", "method"});
  double d = 0;
  if (!v.Number(d)) Raise("type " + TypeName(v) + " doesn't define __round__ method");
  const std::string method = p.Text(1, "common");
  const int64_t precision = std::clamp<int64_t>(p.Int(0, 0), -300, 300);
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value(std::ceil(d * scale) / scale);
  if (method == "floor") return Value(std::floor(d * scale) / scale);
  if (method != "common") Raise("method must be common, ceil or floor");
  if (precision < 0) return Value(std::nearbyint(d * scale) / scale);
  // Rounds the decimal value that the double stands for, as Python does.
  char buffer[700];
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), d);
  const double rounded = std::strtod(buffer, nullptr);
  if (v.As<double>() == nullptr) {
    int64_t i = 0;
    v.Integer(i);
    return Value(i);  // Python's round() of an int is an int
  }
  return Value(rounded);
}

constexpr FilterEntry kFilters[] = {
    {"abs", Abs},
    {"float", Float},
    {"int", Int},
    {"round", Round},
};

}  // namespace

std::span<const FilterEntry> NumberFilters() { return kFilters; }

}  // namespace awq::jinja
