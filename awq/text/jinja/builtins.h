// What the interpreter knows by name: operators, functions, filters, tests and methods.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "awq/text/jinja/interpreter.h"
#include "awq/text/jinja/value.h"

namespace awq::jinja {

// operators.cc
Value Negate(const Value& v, bool minus);
Value Arithmetic(Interpreter& interpreter, std::string_view op, const Value& a, const Value& b);
bool LessOrEqual(const Value& a, const Value& b);
bool Compare(std::string_view op, const Value& a, const Value& b);  // == < in "not in" …
bool Contains(const Value& container, const Value& item);
Value ElementAt(const Value& sequence, int64_t index);  // undefined when out of range
Value TakeSlice(const Value& sequence, const Value& begin, const Value& end, const Value& step);
// format_percent.cc, format_braces.cc: Python's `format % values` and format.format(…).
Value FormatPercent(const Value& format, const Value& values);
Value FormatBraces(Interpreter& interpreter, const Value& format, const Arguments& arguments);

// functions.cc
Value MakeRange(int64_t start, int64_t stop, int64_t step);  // throws when it is too long
// `bound`: what it belongs to.
Value MakeFunction(std::string name, std::function<Value(Interpreter&, Arguments&)> call,
                   const Value& bound = {});
std::unordered_map<std::string_view, Value> GlobalFunctions();

// filters.cc, tests.cc: null when there is none of the name.
using FilterFunction = Value (*)(Interpreter&, const Value& input, Arguments&);
FilterFunction FindFilter(std::string_view name);
using TestFunction = bool (*)(Interpreter&, const Value& input, Arguments&);
TestFunction FindTest(std::string_view name);
bool TestTakesArgument(std::string_view name);  // the others take none

// methods.cc: a method bound to its object, or undefined.
Value FindMethod(const Value& self, std::string_view name);

// Arguments by position or name.
class Parameters {
 public:
  // Throws when there are more, or others, than `names`.
  Parameters(std::string_view function, Arguments& arguments,
             std::initializer_list<std::string_view> names);
  // Null when it was not given.
  const Value* Find(size_t i) const { return values_[i]; }
  // Throws when it was not given.
  const Value& At(size_t i) const;
  // Its truth, as Python takes it from 3.12 on; before, some flags had to be numbers.
  bool Flag(size_t i, bool otherwise) const;
  int64_t Int(size_t i, int64_t otherwise) const;
  int64_t IntOrNone(size_t i, int64_t otherwise) const;  // `otherwise` when it is none, too
  std::string Text(size_t i, std::string otherwise) const;
  // Null when it was not given or is none.
  const std::string* MaybeText(size_t i) const;

 private:
  std::string function_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

}  // namespace awq::jinja
