// The interpreter's expressions.
#include <algorithm>

#include "awq/text/jinja/builtins.h"
#include "awq/text/jinja/interpreter.h"

namespace awq::jinja {
namespace {

bool IsConstant(const Expression& e) {
  switch (e.kind) {
    case Expression::kConstant:
      return true;
    case Expression::kList:
    case Expression::kTuple:
    case Expression::kDict:
    case Expression::kUnary:
    case Expression::kSlice:
      return std::all_of(e.operands.begin(), e.operands.end(),
                         [](const ExpressionPtr& o) { return o == nullptr || IsConstant(*o); });
    default:
      return false;
  }
}

bool CanSlice(const Value& object, const std::vector<Value>& bounds) {
  int64_t i = 0;
  return (object.AsList() != nullptr || object.String() != nullptr) &&
         std::all_of(bounds.begin(), bounds.end(),
                     [&](const Value& b) { return b.IsNone() || b.Integer(i); });
}

// Whether a filter looks at more than the first or last element of a container. Templates ask for
// the length of all messages at every message.
bool Walks(std::string_view filter) {
  for (std::string_view name : {"length", "count", "first", "last", "default", "d"}) {
    if (filter == name) return false;
  }
  return true;
}

Value MacroAttribute(const Macro& macro, std::string_view name) {
  if (name == "name") return Value(macro.name);
  if (name == "catch_kwargs") return Value(macro.kwargs >= 0);
  if (name == "catch_varargs") return Value(macro.varargs >= 0);
  if (name == "caller") return Value(macro.uses_caller);
  if (name != "arguments") return Value();
  std::vector<Value> names;
  for (const Parameter& p : macro.parameters) names.emplace_back(p.name);
  return Value::MakeList(std::move(names), true);
}

}  // namespace

Value Interpreter::Evaluate(const Expression& e) {
  Value v = EvaluateNode(e);
  if (v.String() != nullptr) Spend(v);
  return v;
}

Value Interpreter::EvaluateNode(const Expression& e) {
  const Depth depth(*this);
  at_ = e.at;
  switch (e.kind) {
    case Expression::kConstant:
      return e.value;
    case Expression::kName: {
      const Value& v = At(e.place);
      const auto* undefined = v.As<Undefined>();
      if (undefined == nullptr || !undefined->what.empty()) return v;
      // A macro read it after its loop was over; jinja2 gives an object of its own.
      if (e.place.is_parameter) Raise("unsupported: '" + e.name + "' of a loop that is over");
      return Value::MakeUndefined("'" + e.name + "' is undefined");
    }
    case Expression::kList:
    case Expression::kTuple: {
      std::vector<Value> items;
      for (const ExpressionPtr& o : e.operands) items.push_back(Evaluate(*o));
      Charge(items.size() * sizeof(Value));
      return Value::MakeList(std::move(items), e.kind == Expression::kTuple);
    }
    case Expression::kDict: {
      auto dict = std::make_shared<Dict>();
      for (size_t i = 0; i < e.operands.size(); i += 2) {
        Value key = Evaluate(*e.operands[i]);
        dict->Set(std::move(key), Evaluate(*e.operands[i + 1]));
      }
      Charge(dict->items.size() * 2 * sizeof(Value));
      return Value(std::shared_ptr<const Dict>(std::move(dict)));
    }
    case Expression::kUnary: {
      const Value v = Evaluate(*e.operands[0]);
      if (e.name == "not") return Value(!Truthy(v));
      return Negate(v, e.name == "-");
    }
    case Expression::kBinary:
      return Binary(e);
    case Expression::kConcat: {
      std::string text;
      for (const ExpressionPtr& o : e.operands) {
        const std::string part = ToString(Printed(Evaluate(*o)));
        Charge(part.size());
        text += part;
      }
      return Value(std::move(text));
    }
    case Expression::kCompare:
      return Compare(e);
    case Expression::kCondition: {
      if (Truthy(Evaluate(*e.operands[0]))) return Evaluate(*e.operands[1]);
      if (e.operands[2] != nullptr) return Evaluate(*e.operands[2]);
      return Value::MakeUndefined(
          "the inline if-expression evaluated to false and no else section was defined.");
    }
    case Expression::kAttribute: {
      const Value object = Evaluate(*e.operands[0]);
      at_ = e.at;
      return Attribute(object, e.name);
    }
    case Expression::kItem: {
      const Value object = Evaluate(*e.operands[0]);
      if (e.operands[1]->kind == Expression::kSlice) {
        return Slice(object, *e.operands[1],
                     IsConstant(*e.operands[0]) && IsConstant(*e.operands[1]));
      }
      const Value index = Evaluate(*e.operands[1]);
      at_ = e.at;
      return Item(object, index);
    }
    case Expression::kSlice:
      Raise("a slice stands alone");
    case Expression::kCall:
      return CallExpression(e, nullptr);
    case Expression::kFilter:
      return Filter(e, Value());
    case Expression::kTest: {
      const Value input = Evaluate(*e.operands[0]);
      Arguments arguments = EvaluateArguments(e.arguments);
      at_ = e.at;
      return Value(ApplyTest(e.name, input, arguments));
    }
  }
  return Value();
}

Value Interpreter::Binary(const Expression& e) {
  Value left = Evaluate(*e.operands[0]);
  if (e.name == "and") return Truthy(left) ? Evaluate(*e.operands[1]) : left;
  if (e.name == "or") return Truthy(left) ? left : Evaluate(*e.operands[1]);
  const Value right = Evaluate(*e.operands[1]);
  at_ = e.at;
  Spend(left);
  Spend(right);
  return Arithmetic(*this, e.name, left, right);
}

Value Interpreter::Compare(const Expression& e) {
  Value left = Evaluate(*e.operands[0]);
  for (size_t i = 0; i < e.names.size(); ++i) {
    Value right = Evaluate(*e.operands[i + 1]);
    at_ = e.at;
    Spend(left);
    Spend(right);
    if (!jinja::Compare(e.names[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

// Where all is constant Jinja folds the expression, and what cannot be sliced becomes undefined.
Value Interpreter::Slice(const Value& object, const Expression& slice, bool is_constant) {
  std::vector<Value> bounds;
  for (const ExpressionPtr& o : slice.operands) {
    bounds.push_back(o == nullptr ? Value(None{}) : Evaluate(*o));
  }
  at_ = slice.at;
  Spend(object);
  if (is_constant && !CanSlice(object, bounds)) return Value::MakeUndefined("cannot be sliced");
  return TakeSlice(object, bounds[0], bounds[1], bounds[2]);
}

Arguments Interpreter::EvaluateArguments(const std::vector<Argument>& arguments) {
  Arguments out;
  for (const Argument& a : arguments) {
    Value value = Evaluate(*a.value);
    if (a.kind == Argument::kPositional) {
      out.positional.push_back(std::move(value));
    } else if (a.kind == Argument::kNamed) {
      out.named.emplace_back(a.name, std::move(value));
    } else if (a.kind == Argument::kSpreadList) {
      for (Value& item : Elements(value)) out.positional.push_back(std::move(item));
    } else {
      if (value.AsDict() == nullptr)
        Raise("argument after ** must be a mapping, not " + TypeName(value));
      for (const auto& [key, item] : value.AsDict()->items)
        out.named.emplace_back(ToString(key), item);
    }
  }
  return out;
}

Value Interpreter::CallExpression(const Expression& e, const Value* caller) {
  const Value function = Evaluate(*e.operands[0]);
  Arguments arguments = EvaluateArguments(e.arguments);
  if (caller != nullptr) {  // behind the named ones, before what ** spreads
    const auto named = std::count_if(e.arguments.begin(), e.arguments.end(),
                                     [](const Argument& x) { return x.kind == Argument::kNamed; });
    arguments.named.emplace(arguments.named.begin() + named, "caller", *caller);
  }
  at_ = e.at;
  return Call(function, arguments);
}

// A chain that begins with nothing, of a filter or set block, takes `input`.
Value Interpreter::Filter(const Expression& e, const Value& input) {
  Value value = input;
  if (e.operands[0] != nullptr) {
    const Expression& inner = *e.operands[0];
    const bool chained = inner.kind == Expression::kFilter;
    value = chained ? Filter(inner, input) : Evaluate(inner);
  }
  Arguments arguments = EvaluateArguments(e.arguments);
  at_ = e.at;
  return ApplyFilter(e.name, value, arguments);
}

Value Interpreter::ApplyFilter(std::string_view name, const Value& input, Arguments& arguments) {
  const Depth nesting(*this);
  const FilterFunction filter = FindFilter(name);
  if (filter == nullptr) Raise("No filter named '" + std::string(name) + "'.");
  if (input.String() != nullptr || Walks(name)) Spend(input);
  Value result = filter(*this, input, arguments);
  if (result.String() != nullptr) Charge(result.String()->size());
  if (result.AsList() != nullptr) Charge(result.AsList()->items.size() * sizeof(Value));
  return result;
}

bool Interpreter::ApplyTest(std::string_view name, const Value& input, Arguments& arguments) {
  const TestFunction test = FindTest(name);
  if (test == nullptr) Raise("No test named '" + std::string(name) + "'.");
  if (!arguments.named.empty() || (!arguments.positional.empty() && !TestTakesArgument(name)))
    Raise("the test '" + std::string(name) + "' got too many arguments");
  if (TestTakesArgument(name)) {
    Spend(input);
    for (const Value& v : arguments.positional) Spend(v);
  }
  return test(*this, input, arguments);
}

Value Interpreter::Attribute(const Value& object, std::string_view name) {
  if (const auto* u = object.As<Undefined>()) Raise(u->what);
  if (const Object* o = object.AsObject()) {
    if (const Value* v = o->Find(name); v != nullptr && !name.empty()) return *v;
  }
  if (const Callable* c = object.AsCallable(); c != nullptr && c->macro != nullptr) {
    Value v = MacroAttribute(*c->macro, name);
    if (!v.IsUndefined()) return v;
  }
  Value method = FindMethod(object, name);
  if (!method.IsUndefined()) return method;
  if (const Dict* d = object.AsDict()) {
    if (const Value* v = d->FindName(name)) return *v;
  }
  return Value::MakeUndefined("'" + TypeName(object) + " object' has no attribute '" +
                              std::string(name) + "'");
}

Value Interpreter::Item(const Value& object, const Value& index) {
  if (const auto* u = object.As<Undefined>()) Raise(u->what);
  int64_t i = 0;
  if (const Dict* d = object.AsDict()) {
    if (const Value* v = d->Find(index)) return *v;
  } else if (index.Integer(i) && (object.String() != nullptr ||
                                  (object.AsList() != nullptr && object.AsList()->IsSequence()))) {
    if (object.String() != nullptr) Spend(object);
    return ElementAt(object, i);
  }
  if (index.String() != nullptr) return Attribute(object, *index.String());
  return Value::MakeUndefined("'" + TypeName(object) + " object' has no attribute " + Repr(index));
}

}  // namespace awq::jinja
