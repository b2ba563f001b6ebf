// Filters of numbers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "awq/text/jinja/filter_list.h"
#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

Value Abs(Interpreter&, const Value& v, Arguments&) {
  double d = 0;
  if (!v.Number(d)) Raise("bad operand type for abs(): '" + TypeName(v) + "'");
  return Negate(v, std::signbit(d));  // -0.0 too
}

Value Int(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("int", a, {"default", "base"});
  Value otherwise = p.Find(0) != nullptr ? *p.Find(0) : Value(int64_t{0});
  if (const auto* u = v.As<Undefined>()) Raise(u->what);
  int64_t i = 0;
  double d = 0;
  if (v.Integer(i)) return Value(i);
  if (const std::string* s = v.String()) {
    int64_t base = 10;
    const bool is_base = p.Find(1) == nullptr || p.Find(1)->Integer(base);
    if (is_base && ReadInteger(*s, base, i)) return Value(i);
    if (!ReadDouble(*s, d)) return otherwise;
  } else if (!v.Number(d)) {
    return otherwise;
  }
  if (std::isinf(d) && v.String() == nullptr) Raise("cannot convert float infinity to integer");
  if (!std::isfinite(d)) return otherwise;
  if (!(std::abs(d) < 9.2e18)) Raise("limit: an integer beyond 64 bits");
  return Value(static_cast<int64_t>(d));
}

Value Float(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("float", a, {"default"});
  if (const auto* u = v.As<Undefined>()) Raise(u->what);
  double d = 0;
  if (v.Number(d) || (v.String() != nullptr && ReadDouble(*v.String(), d))) return Value(d);
  return p.Find(0) != nullptr ? *p.Find(0) : Value(0.0);
}

// Python's round() of an int: half to even at a power of ten.
Value RoundInteger(int64_t i, int64_t precision) {
  if (precision >= 0) return Value(i);
  if (precision < -18) return Value(int64_t{0});
  int64_t unit = 1;
  for (int64_t k = precision; k < 0; ++k) unit *= 10;
  const int64_t rest = ((i % unit) + unit) % unit;
  const int64_t low = i - rest;
  const bool up = rest > unit - rest || (rest == unit - rest && (low / unit) % 2 != 0);
  int64_t out = low;
  if (up && __builtin_add_overflow(low, unit, &out)) Raise("limit: an integer beyond 64 bits");
  return Value(out);
}

// round(v, none): an int.
Value WholeNumber(const Value& v, double d) {
  int64_t i = 0;
  if (v.Integer(i)) return Value(i);
  if (!std::isfinite(d)) Raise("cannot convert float to integer");
  if (!(std::abs(d) < 9.2e18)) Raise("limit: an integer beyond 64 bits");
  return Value(static_cast<int64_t>(std::nearbyint(d)));
}

Value Round(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("round", a, {"precision", "method"});
  double d = 0;
  if (!v.Number(d)) Raise("type " + TypeName(v) + " doesn't define __round__ method");
  const std::string method = p.Text(1, "common");
  if (p.Find(0) != nullptr && p.Find(0)->IsNone() && method == "common") return WholeNumber(v, d);
  double places = 0;
  if (p.Find(0) != nullptr && (method == "common" || !p.Find(0)->Number(places)))
    places = static_cast<double>(p.Int(0, 0));
  if (method == "ceil" || method == "floor") {
    const double scale = std::pow(10.0, places);
    const double scaled = d * scale;
    if (!std::isfinite(scaled)) Raise("cannot convert float infinity to integer");
    const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
    return Value((whole == 0 ? 0.0 : whole) / scale);  // an int there: no -0
  }
  if (method != "common") Raise("method must be common, ceil or floor");
  const int64_t precision = p.Int(0, 0);
  int64_t i = 0;
  if (v.Integer(i)) return RoundInteger(i, precision);
  if (!std::isfinite(d) || precision > 323) return Value(d);
  if (precision < -308) return Value(std::copysign(0.0, d));
  char buffer[800];
  if (precision >= 0) {
    // Rounds the decimal value that the double stands for, as Python does.
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), d);
    return Value(std::strtod(buffer, nullptr));
  }
  // The same at a digit before the point: d is written with as many digits as are left.
  std::snprintf(buffer, sizeof buffer, "%.0f", std::abs(d));
  const int digits = static_cast<int>(std::strlen(buffer)) + static_cast<int>(precision);
  if (digits < 0) return Value(std::copysign(0.0, d));
  if (digits == 0) {
    const double unit = std::pow(10.0, static_cast<double>(-precision));
    return Value(std::copysign(std::abs(d) > unit / 2 ? unit : 0.0, d));
  }
  std::snprintf(buffer, sizeof buffer, "%.*e", digits - 1, d);
  return Value(std::strtod(buffer, nullptr));
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
