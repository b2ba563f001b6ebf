#include "awq/text/jinja/interpreter.h"

#include <algorithm>

#include "awq/text/jinja/builtins.h"

namespace awq::jinja {
namespace {

constexpr int64_t kMaxSteps = 5'000'000;
constexpr int64_t kMaxWork = 200'000'000;
constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr int kMaxDepth = 1000;

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

}  // namespace

class Interpreter::Depth {
 public:
  explicit Depth(Interpreter& i) : i_(i) {
    if (++i_.steps_ > kMaxSteps) Raise("limit: the template runs for too long");
    if (i_.depth_ >= kMaxDepth) Raise("limit: the template recurses too deeply");
    ++i_.depth_;
  }
  ~Depth() { --i_.depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  Interpreter& i_;
};

Interpreter::Interpreter(const Dict& context) : scope_(NewScope(nullptr)) {
  for (auto& [name, function] : GlobalFunctions()) Set(name, function);
  for (const auto& [name, value] : context.items) Set(ToString(name), value);
  scope_ = NewScope(scope_);
}

std::string Interpreter::Render(const Body& body) {
  std::string out;
  out_ = &out;
  Run(body);
  return out;
}

void Interpreter::Charge(size_t bytes) {
  bytes_ += bytes;
  if (bytes > kMaxBytes || bytes_ > kMaxBytes) Raise("limit: the template makes too much text");
}

// What is about to be written: all of a container is walked through.
const Value& Interpreter::Printed(const Value& v) {
  if (v.String() == nullptr) Spend(v);
  return v;
}

void Interpreter::Spend(const Value& v) {
  work_ += v.Weight();
  if (work_ > kMaxWork) Raise("limit: the template runs for too long");
}

Interpreter::Scope* Interpreter::NewScope(Scope* parent) {
  scopes_.push_back(std::make_unique<Scope>(Scope{parent, {}}));
  return scopes_.back().get();
}

const Value* Interpreter::Find(std::string_view name) const {
  for (const Scope* s = scope_; s != nullptr; s = s->parent) {
    for (const auto& [n, v] : s->variables) {
      if (n == name) return &v;
    }
  }
  return nullptr;
}

void Interpreter::Set(std::string_view name, Value value) {
  for (auto& [n, v] : scope_->variables) {
    if (n == name) {
      v = std::move(value);
      return;
    }
  }
  scope_->variables.emplace_back(std::string(name), std::move(value));
}

Interpreter::Flow Interpreter::Run(const Body& body) {
  for (const Statement& s : body) {
    const Flow flow = Run(s);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::Run(const Statement& s) {
  const Depth depth(*this);
  at_ = s.at;
  const auto print = [&](const std::string& text) {
    Charge(text.size());
    *out_ += text;
  };
  switch (s.kind) {
    case Statement::kText:
      print(s.text);
      break;
    case Statement::kPrint:
      print(ToString(Printed(Evaluate(*s.expression))));
      break;
    case Statement::kFor:
      return RunFor(s, Evaluate(*s.expression), 1);
    case Statement::kIf:
      return RunIf(s);
    case Statement::kSet:
      Assign(*s.target, Evaluate(*s.expression));
      break;
    case Statement::kSetBlock: {
      Flow flow = Flow::kNormal;
      Value text(Capture(s.body, scope_, flow));
      if (flow != Flow::kNormal) return flow;
      Assign(*s.target, s.expression == nullptr ? text : Filter(*s.expression, text));
      break;
    }
    case Statement::kMacro:
      Set(s.macro->name, MakeMacro(*s.macro));
      break;
    case Statement::kCallBlock:
      CallBlock(s);
      break;
    case Statement::kFilter: {
      Flow flow = Flow::kNormal;
      const Value text(Capture(s.body, scope_, flow));
      if (flow != Flow::kNormal) return flow;
      const Value filtered = Filter(*s.expression, text);
      if (filtered.String() == nullptr)
        Raise("a filter block gave " + TypeName(filtered) + " instead of str");
      print(*filtered.String());
      break;
    }
    case Statement::kWith: {
      std::vector<Value> values;
      for (const ExpressionPtr& e : s.tests) values.push_back(Evaluate(*e));
      Scope* outer = std::exchange(scope_, NewScope(scope_));
      for (size_t i = 0; i < values.size(); ++i) Assign(*s.targets[i], values[i]);
      const Flow flow = Run(s.body);
      scope_ = outer;
      return flow;
    }
    case Statement::kScope: {
      Scope* outer = std::exchange(scope_, NewScope(scope_));
      const Flow flow = Run(s.body);
      scope_ = outer;
      return flow;
    }
    case Statement::kBreak:
      return Flow::kBreak;
    case Statement::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::RunIf(const Statement& s) {
  for (size_t i = 0; i < s.tests.size(); ++i) {
    if (Truthy(Evaluate(*s.tests[i]))) return Run(s.branches[i]);
  }
  if (s.branches.size() > s.tests.size()) return Run(s.branches.back());
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::RunFor(const Statement& s, const Value& iterable, int depth) {
  const Depth nesting(*this);
  std::vector<Value> items = Elements(iterable);
  Charge(items.size() * sizeof(Value));
  Scope* outer = scope_;
  if (s.filter != nullptr) {
    std::vector<Value> kept;
    scope_ = NewScope(outer);
    for (Value& item : items) {
      Assign(*s.target, item);
      if (Truthy(Evaluate(*s.filter))) kept.push_back(std::move(item));
    }
    scope_ = outer;
    items = std::move(kept);
  }
  const auto loop = std::make_shared<Object>();
  loop->kind = "loop";
  Keep(loop);
  AddLoopFunctions(*loop);
  if (s.recursive) {
    loop->attributes.emplace_back("", Value());  // its call, see Call()
    loop->attributes.back().second =
        MakeFunction("loop", [this, &s, depth](Interpreter&, Arguments& a) {
          if (a.positional.size() != 1) Raise("loop() takes one argument");
          std::string text;
          std::string* out = std::exchange(out_, &text);
          RunFor(s, a.positional[0], depth + 1);
          out_ = out;
          return Value(std::move(text));
        });
  }
  // Jinja takes a loop as empty until the end of its body is reached once.
  bool completed = false;
  for (size_t i = 0; i < items.size(); ++i) {
    SetLoopPosition(*loop, items, i, depth);
    scope_ = NewScope(outer);
    Set("loop", Value(loop));
    Assign(*s.target, items[i]);
    const Flow flow = Run(s.body);
    scope_ = outer;
    if (flow == Flow::kBreak) break;
    completed = completed || flow == Flow::kNormal;
  }
  if (completed || s.otherwise.empty()) return Flow::kNormal;
  scope_ = NewScope(outer);
  const Flow flow = Run(s.otherwise);
  scope_ = outer;
  return flow;
}

std::string Interpreter::Capture(const Body& body, Scope* parent, Flow& flow) {
  std::string text;
  std::string* out = std::exchange(out_, &text);
  Scope* outer = std::exchange(scope_, NewScope(parent));
  flow = Run(body);
  scope_ = outer;
  out_ = out;
  return text;
}

Value Interpreter::MakeMacro(const Macro& macro) {
  const Value function = MakeFunction(
      macro.name, [this, &macro, closure = scope_](Interpreter&, Arguments& arguments) {
        return Value(CallMacro(macro, closure, arguments));
      });
  const_cast<Callable*>(function.AsCallable())->macro = &macro;
  return function;
}

namespace {

Value MacroAttribute(const Macro& macro, std::string_view name) {
  if (name == "name") return Value(macro.name);
  if (name == "catch_kwargs") return Value(macro.uses_kwargs);
  if (name == "catch_varargs") return Value(macro.uses_varargs);
  if (name == "caller") return Value(macro.uses_caller);
  if (name != "arguments") return Value();
  std::vector<Value> names;
  for (const Parameter& p : macro.parameters) names.emplace_back(p.name);
  return Value::MakeList(std::move(names), true);
}

}  // namespace

std::string Interpreter::CallMacro(const Macro& macro, Scope* closure, Arguments& arguments) {
  const Depth nesting(*this);
  const size_t count = macro.parameters.size();
  if (arguments.positional.size() > count && !macro.uses_varargs) {
    Raise("macro '" + macro.name + "' takes not more than " + std::to_string(count) +
          " argument(s)");
  }
  Scope* outer = std::exchange(scope_, NewScope(closure));
  for (size_t i = 0; i < count; ++i) {
    const Parameter& p = macro.parameters[i];
    const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& a) { return a.first == p.name; });
    if (i < arguments.positional.size()) {
      Set(p.name, arguments.positional[i]);
    } else if (named != arguments.named.end()) {
      Set(p.name, named->second);
      arguments.named.erase(named);
    } else {
      Set(p.name, p.otherwise != nullptr
                      ? Evaluate(*p.otherwise)
                      : Value::MakeUndefined("parameter '" + p.name + "' was not provided"));
    }
  }
  SetSpecialParameters(macro, arguments);
  Scope* inner = std::exchange(scope_, outer);
  Flow flow = Flow::kNormal;
  return Capture(macro.body, inner, flow);
}

// caller, varargs and kwargs, where the macro uses them.
void Interpreter::SetSpecialParameters(const Macro& macro, Arguments& arguments) {
  const size_t count = macro.parameters.size();
  if (macro.uses_caller) {
    const auto caller = std::find_if(arguments.named.begin(), arguments.named.end(),
                                     [](const auto& a) { return a.first == "caller"; });
    Value value = Value::MakeUndefined("No caller defined");
    if (caller != arguments.named.end()) {
      if (!caller->second.IsNone()) value = caller->second;
      arguments.named.erase(caller);
    }
    Set("caller", std::move(value));
  }
  if (macro.uses_varargs) {
    const auto& all = arguments.positional;
    std::vector<Value> rest(all.begin() + static_cast<int64_t>(std::min(count, all.size())),
                            all.end());
    Set("varargs", Value::MakeList(std::move(rest), true));
  }
  if (macro.uses_kwargs) {
    auto dict = std::make_shared<Dict>();
    for (auto& [name, value] : arguments.named) dict->Set(Value(name), std::move(value));
    Set("kwargs", Value(std::shared_ptr<const Dict>(std::move(dict))));
  } else if (!arguments.named.empty()) {
    Raise("macro '" + macro.name + "' takes no keyword argument '" + arguments.named[0].first +
          "'");
  }
}

void Interpreter::CallBlock(const Statement& s) {
  const Value caller = MakeMacro(*s.macro);
  const std::string text = ToString(CallExpression(*s.expression, &caller));
  Charge(text.size());
  *out_ += text;
}

void Interpreter::Assign(const Expression& target, const Value& value) {
  if (target.kind == Expression::kName) {
    Set(target.name, value);
    return;
  }
  if (target.kind == Expression::kAttribute) {
    Object* object = Evaluate(*target.operands[0]).AsObject();
    if (object == nullptr || !object->settable)
      Raise("cannot assign attribute on non-namespace object");
    CheckNamespaceName(target.name);
    object->Set(target.name, value);
    return;
  }
  const std::vector<Value> items = Elements(value);
  if (items.size() != target.operands.size()) {
    Raise("expected " + std::to_string(target.operands.size()) + " values to unpack, found " +
          std::to_string(items.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) Assign(*target.operands[i], items[i]);
}

Value Interpreter::Call(const Value& function, Arguments& arguments) {
  const Depth nesting(*this);
  const Callable* callable = function.AsCallable();
  Value held;
  if (const Object* o = function.AsObject(); callable == nullptr && o != nullptr) {
    if (const Value* call = o->Find("")) held = *call;
    callable = held.AsCallable();
  }
  if (const auto* u = function.As<Undefined>()) Raise(u->what);
  if (callable == nullptr) Raise("'" + TypeName(function) + "' object is not callable");
  const std::shared_ptr<const Callable> alive =
      *(held.IsUndefined() ? function : held).As<std::shared_ptr<const Callable>>();
  Spend(function);
  for (const Value& v : arguments.positional) Spend(v);
  Value result = alive->call(*this, arguments);
  if (result.String() != nullptr) Charge(result.String()->size());
  if (result.AsList() != nullptr) Charge(result.AsList()->items.size() * sizeof(Value));
  return result;
}

// ---- expressions

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
      const Value* v = Find(e.name);
      return v != nullptr ? *v : Value::MakeUndefined("'" + e.name + "' is undefined");
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
    const std::string& op = e.names[i];
    bool holds = false;
    if (op == "==")
      holds = Equal(left, right);
    else if (op == "!=")
      holds = !Equal(left, right);
    else if (op == "<")
      holds = Less(left, right);
    else if (op == ">")
      holds = Less(right, left);
    else if (op == "<=")
      holds = LessOrEqual(left, right);
    else if (op == ">=")
      holds = LessOrEqual(right, left);
    else
      holds = Contains(right, left) == (op == "in");
    if (!holds) return Value(false);
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
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
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
  Spend(input);
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
