#include "awq/text/jinja/interpreter.h"

#include <algorithm>

#include "awq/text/jinja/builtins.h"

namespace awq::jinja {
namespace {

constexpr int64_t kMaxSteps = 5'000'000;
constexpr int64_t kMaxWork = 200'000'000;
constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr int kMaxDepth = 1000;

}  // namespace

Interpreter::Depth::Depth(Interpreter& i) : i_(i) {
  if (++i_.steps_ > kMaxSteps) Raise("limit: the template runs for too long");
  if (i_.depth_ >= kMaxDepth) Raise("limit: the template recurses too deeply");
  ++i_.depth_;
}

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

}  // namespace awq::jinja
