// Operators, with Python's rules.
#include <algorithm>
#include <cmath>

#include "awq/text/jinja/builtins.h"
#include "awq/text/jinja/markup.h"
#include "awq/text/jinja/unicode.h"

namespace awq::jinja {
namespace {

[[noreturn]] void Unsupported(std::string_view op, const Value& a, const Value& b) {
  for (const Value* v : {&a, &b}) {
    if (const auto* u = v->As<Undefined>()) Raise(u->what);
  }
  if (op == "+" && a.String() != nullptr) {
    Raise("can only concatenate str (not \"" + TypeName(b) + "\") to str");
  }
  Raise("unsupported operand type(s) for " + std::string(op) + ": '" + TypeName(a) + "' and '" +
        TypeName(b) + "'");
}

int64_t FloorDivide(int64_t a, int64_t b) {
  if (b == 0) Raise("integer division or modulo by zero");
  if (a == INT64_MIN && b == -1) Raise("limit: an integer beyond 64 bits");
  const int64_t q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

Value Power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) Raise("0.0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));  // a float
  }
  int64_t out = 1;
  for (int64_t i = 0; i < exponent && out != 0; ++i) {
    if (base == 1 || (base == -1 && i >= 2)) return Value(exponent % 2 == 0 ? int64_t{1} : base);
    if (__builtin_mul_overflow(out, base, &out)) Raise("limit: an integer beyond 64 bits");
  }
  return Value(out);
}

Value Integers(std::string_view op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &out);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &out);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &out);
  } else if (op == "//") {
    out = FloorDivide(a, b);
  } else if (op == "%") {
    if (b == -1) return Value(int64_t{0});
    out = a - FloorDivide(a, b) * b;
  } else if (op == "**") {
    return Power(a, b);
  } else {
    if (b == 0) Raise("division by zero");
    return Value(static_cast<double>(a) / static_cast<double>(b));
  }
  if (overflow) Raise("limit: an integer beyond 64 bits");
  return Value(out);
}

Value Doubles(std::string_view op, double a, double b) {
  if (op == "+") return Value(a + b);
  if (op == "-") return Value(a - b);
  if (op == "*") return Value(a * b);
  if (op == "**") {
    if (a == 0 && b < 0) Raise("0.0 cannot be raised to a negative power");
    if (a < 0 && std::isfinite(b) && b != std::floor(b)) Raise("unsupported: a complex number");
    const double out = std::pow(a, b);
    if (std::isinf(out) && std::isfinite(a) && std::isfinite(b))
      Raise("Numerical result out of range");
    return Value(out);
  }
  if (b == 0)
    Raise(op == "/"   ? "float division by zero"
          : op == "%" ? "float modulo"
                      : "float floor division by zero");
  if (op == "/") return Value(a / b);
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder == 0) {
    remainder = std::copysign(0.0, b);
  } else if ((remainder < 0) != (b < 0)) {
    remainder += b;
    quotient -= 1;
  }
  if (op == "%") return Value(remainder);
  if (quotient == 0) return Value(std::copysign(0.0, a / b));
  const double floor = std::floor(quotient);
  return Value(quotient - floor > 0.5 ? floor + 1 : floor);
}

Value Repeat(Interpreter& interpreter, const Value& sequence, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const auto count = static_cast<size_t>(times);
  if (const std::string* s = sequence.String()) {
    if (!s->empty() && count > (size_t{1} << 40) / s->size())
      Raise("limit: the template makes too much text");
    interpreter.Charge(s->size() * count);
    std::string out;
    out.reserve(s->size() * count);
    for (int64_t i = 0; i < times && !s->empty(); ++i) out += *s;
    return Like(sequence, std::move(out));
  }
  const List& list = *sequence.AsList();
  if (list.items.empty()) return sequence;
  if (count > (size_t{1} << 32) / list.items.size())
    Raise("limit: the template makes too much text");
  interpreter.Charge(list.items.size() * count * sizeof(Value));
  std::vector<Value> out;
  for (int64_t i = 0; i < times; ++i) out.insert(out.end(), list.items.begin(), list.items.end());
  return Value::MakeList(std::move(out), list.IsTuple());
}

}  // namespace

Value Negate(const Value& v, bool minus) {
  int64_t i = 0;
  if (v.Integer(i)) {
    if (i == INT64_MIN) Raise("limit: an integer beyond 64 bits");
    return Value(minus ? -i : i);
  }
  if (const double* d = v.As<double>()) return Value(minus ? -*d : *d);
  if (const auto* u = v.As<Undefined>()) Raise(u->what);
  Raise("bad operand type for unary " + std::string(minus ? "-" : "+") + ": '" + TypeName(v) + "'");
}

Value Arithmetic(Interpreter& interpreter, std::string_view op, const Value& a, const Value& b) {
  int64_t i = 0;
  int64_t j = 0;
  double x = 0;
  double y = 0;
  if (a.Integer(i) && b.Integer(j)) return Integers(op, i, j);
  if (a.Number(x) && b.Number(y)) return Doubles(op, x, y);
  const auto is_sequence = [](const Value& v) {
    const List* l = v.AsList();
    return v.String() != nullptr || (l != nullptr && (l->kind == List::kList || l->IsTuple()));
  };
  if (op == "+") {
    if (a.String() != nullptr && b.String() != nullptr) {
      interpreter.Charge(a.String()->size() + b.String()->size());
      if (a.As<Markup>() != nullptr || b.As<Markup>() != nullptr)
        return Value::MakeMarkup(Escaped(a) + Escaped(b));
      return Value(*a.String() + *b.String());
    }
    const List* l = a.AsList();
    const List* m = b.AsList();
    if (l != nullptr && m != nullptr && l->IsTuple() == m->IsTuple() && is_sequence(a) &&
        is_sequence(b)) {
      std::vector<Value> items = l->items;
      items.insert(items.end(), m->items.begin(), m->items.end());
      interpreter.Charge(items.size() * sizeof(Value));
      return Value::MakeList(std::move(items), l->IsTuple());
    }
  }
  if (op == "*" && is_sequence(a) && b.Integer(j)) return Repeat(interpreter, a, j);
  if (op == "*" && a.Integer(i) && is_sequence(b)) return Repeat(interpreter, b, i);
  if (op == "%" && a.String() != nullptr) {
    Value text = FormatPercent(a, b);
    interpreter.Charge(text.String()->size());
    return text;
  }
  for (const Value* v : {&a, &b}) {
    if (const List* l = v->AsList(); op == "-" && l != nullptr && l->IsSetView())
      Raise("unsupported: a set");
  }
  Unsupported(op, a, b);
}

bool LessOrEqual(const Value& a, const Value& b) {
  const List* l = a.AsList();
  const List* m = b.AsList();
  if (l != nullptr && m != nullptr && l->IsSetView() && m->IsSetView())
    return Less(a, b) || Equal(a, b);
  double x = 0;
  double y = 0;
  if (a.Number(x) && b.Number(y)) return Equal(a, b) || Less(a, b);
  return !Less(b, a);
}

bool Contains(const Value& container, const Value& item) {
  if (container.IsUndefined()) return false;
  if (const std::string* s = container.String()) {
    if (const auto* u = item.As<Undefined>()) Raise(u->what);
    if (item.String() == nullptr) {
      Raise("'in <string>' requires string as left operand, not " + TypeName(item));
    }
    return s->find(*item.String()) != std::string::npos;
  }
  if (const Dict* d = container.AsDict()) {
    CheckKey(item);
    return d->Find(item) != nullptr;
  }
  if (const List* l = container.AsList()) {
    if (l->kind == List::kIterator) {
      while (const Value* next = TakeNext(*l)) {
        if (Equal(*next, item)) return true;
      }
      return false;
    }
    if (l->kind == List::kKeys) CheckKey(item);
    const List* pair = item.AsList();
    if (l->kind == List::kItems && pair != nullptr && pair->IsTuple() && pair->items.size() == 2)
      CheckKey(pair->items[0]);
    return std::any_of(l->items.begin(), l->items.end(),
                       [&](const Value& v) { return Equal(v, item); });
  }
  if (container.AsObject() != nullptr && container.AsObject()->kind == "loop")
    Elements(container);  // throws
  Raise("argument of type '" + TypeName(container) + "' is not iterable");
}

bool Compare(std::string_view op, const Value& a, const Value& b) {
  if (op == "==") return Equal(a, b);
  if (op == "!=") return !Equal(a, b);
  if (op == "<") return Less(a, b);
  if (op == ">") return Less(b, a);
  if (op == "<=") return LessOrEqual(a, b);
  if (op == ">=") return LessOrEqual(b, a);
  return Contains(b, a) == (op == "in");
}

Value ElementAt(const Value& sequence, int64_t index) {
  const int64_t length = Length(sequence);
  if (index < 0) index += length;
  if (index < 0 || index >= length) {
    return Value::MakeUndefined(TypeName(sequence) + " object has no element " +
                                std::to_string(index));
  }
  const auto at = static_cast<size_t>(index);
  if (const List* l = sequence.AsList()) return l->items[at];
  const std::string& text = *sequence.String();
  if (static_cast<size_t>(length) == text.size()) return Like(sequence, std::string(1, text[at]));
  return Like(sequence, std::string(Characters(text)[at]));
}

Value TakeSlice(const Value& sequence, const Value& begin, const Value& end, const Value& step) {
  if (const auto* u = sequence.As<Undefined>()) Raise(u->what);
  const List* list = sequence.AsList();
  if (sequence.String() == nullptr && (list == nullptr || !list->IsSequence())) {
    Raise("'" + TypeName(sequence) + "' object cannot be sliced");
  }
  const auto bound = [](const Value& v, int64_t otherwise) {
    int64_t i = otherwise;
    if (!v.IsNone() && !v.Integer(i)) Raise("slice indices must be integers or None");
    return i;
  };
  const int64_t by = bound(step, 1);
  if (by == 0) Raise("slice step cannot be zero");
  const std::vector<Value> items = Elements(sequence);
  const auto length = static_cast<int64_t>(items.size());
  const int64_t low = by > 0 ? 0 : -1;
  const int64_t high = by > 0 ? length : length - 1;
  const auto clip = [&](const Value& v, int64_t otherwise) {
    if (v.IsNone()) return otherwise;
    int64_t i = bound(v, 0);
    if (i < 0) i = i < -length ? -1 - length : i;
    if (i < 0) i += length;
    return std::clamp(i, low, high);
  };
  const int64_t first = clip(begin, by > 0 ? low : high);
  const int64_t last = clip(end, by > 0 ? high : low);
  std::vector<Value> out;
  for (int64_t i = first; by > 0 ? i < last : i > last;) {
    out.push_back(items[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, by, &i)) break;
  }
  if (list != nullptr && list->kind == List::kRange) {
    const int64_t from = list->range[0];
    const int64_t each = list->range[2];
    return MakeRange(from + first * each, from + last * each, by * each);
  }
  if (list != nullptr) return Value::MakeList(std::move(out), list->IsTuple());
  std::string text;
  for (const Value& c : out) text += *c.String();
  return Like(sequence, std::move(text));
}

}  // namespace awq::jinja
