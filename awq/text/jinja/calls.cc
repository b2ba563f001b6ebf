// The interpreter's functions: macros, call blocks, and whatever else is called.
#include <algorithm>

#include "awq/text/jinja/builtins.h"
#include "awq/text/jinja/interpreter.h"

namespace awq::jinja {

Interpreter::Running::Running(Interpreter& i, Frame* outer, int places)
    : i_(i), frame_(std::make_unique<Frame>()), caller_(i.frame_) {
  i.Spend(places);
  frame_->outer = outer;
  frame_->places.resize(static_cast<size_t>(places));
  i.frame_ = frame_.get();
}

Interpreter::Running::~Running() {
  i_.frame_ = caller_;
  if (frame_->kept) i_.kept_.push_back(std::move(frame_));
}

// The present function and those around it are referred to from now on.
void Interpreter::KeepFrame() {
  for (Frame* f = frame_; f != nullptr && !f->kept; f = f->outer) {
    Charge(f->places.size() * sizeof(Value));
    f->kept = true;
  }
}

Value Interpreter::MakeMacro(const Macro& macro) {
  KeepFrame();
  Value function = MakeFunction(
      macro.name, [this, &macro, closure = frame_](Interpreter&, Arguments& arguments) {
        return Value(CallMacro(macro, closure, arguments));
      });
  const_cast<Callable*>(function.AsCallable())->macro = &macro;
  return function;
}

std::string Interpreter::CallMacro(const Macro& macro, Frame* closure, Arguments& arguments) {
  const Depth nesting(*this);
  const Running running(*this, closure, macro.places);
  const std::vector<bool> given = SetParameters(macro, arguments);
  SetSpecialParameters(macro, arguments);
  Begin(macro.variables);
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i]) continue;
    const Parameter& p = macro.parameters[i];
    Value value = p.otherwise != nullptr
                      ? Evaluate(*p.otherwise)
                      : Value::MakeUndefined("parameter '" + p.name + "' was not provided");
    At({0, p.place}) = std::move(value);
  }
  Capture capture(*this);
  Run(macro.body);
  return std::move(capture.text);
}

// Those that were given; the named ones are taken out of `arguments`.
std::vector<bool> Interpreter::SetParameters(const Macro& macro, Arguments& arguments) {
  const size_t count = macro.parameters.size();
  if (arguments.positional.size() > count && macro.varargs < 0) {
    Raise("macro '" + macro.name + "' takes not more than " + std::to_string(count) +
          " argument(s)");
  }
  std::vector<bool> given(count);
  for (size_t i = 0; i < count; ++i) {
    const Parameter& p = macro.parameters[i];
    const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& a) { return a.first == p.name; });
    given[i] = true;
    if (i < arguments.positional.size()) {
      At({0, p.place}) = arguments.positional[i];
    } else if (named != arguments.named.end()) {
      At({0, p.place}) = std::move(named->second);
      arguments.named.erase(named);
    } else {
      given[i] = false;
    }
  }
  return given;
}

// caller, varargs and kwargs, where the macro uses them.
void Interpreter::SetSpecialParameters(const Macro& macro, Arguments& arguments) {
  const size_t count = macro.parameters.size();
  if (macro.caller >= 0) {
    const auto caller = std::find_if(arguments.named.begin(), arguments.named.end(),
                                     [](const auto& a) { return a.first == "caller"; });
    Value value = Value::MakeUndefined("No caller defined");
    if (caller != arguments.named.end()) {
      if (!caller->second.IsNone()) value = caller->second;
      arguments.named.erase(caller);
    }
    At({0, macro.caller}) = std::move(value);
  }
  if (macro.varargs >= 0) {
    const auto& all = arguments.positional;
    std::vector<Value> rest(all.begin() + static_cast<int64_t>(std::min(count, all.size())),
                            all.end());
    At({0, macro.varargs}) = Value::MakeList(std::move(rest), true);
  }
  if (macro.kwargs >= 0) {
    auto dict = std::make_shared<Dict>();
    for (auto& [name, value] : arguments.named) dict->Set(Value(name), std::move(value));
    At({0, macro.kwargs}) = Value(std::shared_ptr<const Dict>(std::move(dict)));
  } else if (!arguments.named.empty()) {
    Raise("macro '" + macro.name + "' takes no keyword argument '" + arguments.named[0].first +
          "'");
  }
}

void Interpreter::CallBlock(const Statement& s) {
  const Value caller = MakeMacro(*s.macro);
  Print(ToString(CallExpression(*s.expression, &caller)));
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
