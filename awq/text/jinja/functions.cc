// Functions that templates call by name.
#include <algorithm>
#include <ctime>

#include "awq/text/jinja/builtins.h"

namespace awq::jinja {
namespace {

constexpr int64_t kMaxRange = 100000;  // as Jinja's sandbox

Value Range(Interpreter&, Arguments& arguments) {
  const auto& a = arguments.positional;
  if (!arguments.named.empty() || a.empty() || a.size() > 3)
    Raise("range expected 1 to 3 arguments");
  int64_t v[3] = {0, 0, 1};
  for (size_t i = 0; i < a.size(); ++i) {
    if (const auto* u = a[i].As<Undefined>()) Raise(u->what);
    if (!a[i].Integer(v[i]))
      Raise("'" + TypeName(a[i]) + "' object cannot be interpreted as an integer");
  }
  if (a.size() == 1) std::swap(v[0], v[1]);
  return MakeRange(v[0], v[1], v[2]);
}

Value MakeDict(Interpreter&, Arguments& arguments) {
  auto dict = std::make_shared<Dict>();
  if (arguments.positional.size() > 1) Raise("dict expected at most 1 argument");
  for (const Value& v : arguments.positional) {
    if (const auto* u = v.As<Undefined>()) Raise(u->what);
    if (const Dict* d = v.AsDict()) {
      for (const auto& [key, value] : d->items) dict->Set(key, value);
      continue;
    }
    for (const Value& pair : Elements(v)) {
      const auto both = Elements(pair);
      if (both.size() != 2) Raise("dictionary update sequence element needs length 2");
      dict->Set(both[0], both[1]);
    }
  }
  for (auto& [name, value] : arguments.named) dict->Set(Value(name), value);
  return Value(std::shared_ptr<const Dict>(std::move(dict)));
}

Value Lipsum(Interpreter&, Arguments&) { Raise("unsupported: lipsum() gives random text"); }

Value Namespace(Interpreter& interpreter, Arguments& arguments) {
  const Value dict = MakeDict(interpreter, arguments);
  auto object = std::make_shared<Object>();
  object->kind = "Namespace";
  object->settable = true;
  for (const auto& [key, value] : dict.AsDict()->items) {
    if (key.String() == nullptr) Raise("unsupported: an attribute whose name is no str");
    CheckNamespaceName(*key.String());
    object->Set(*key.String(), value);
  }
  return Value(std::move(object));
}

Value RaiseException(Interpreter&, Arguments& arguments) {
  Raise(ToString(Parameters("raise_exception", arguments, {"message"}).At(0)));
}

Value StrftimeNow(Interpreter&, Arguments& arguments) {
  const std::string format = Parameters("strftime_now", arguments, {"format"}).Text(0, "");
  if (format.empty()) return Value("");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char buffer[1024];
  const size_t length = std::strftime(buffer, sizeof buffer, format.c_str(), &local);
  return Value(std::string(buffer, length));
}

Value Cycler(Interpreter& interpreter, Arguments& arguments) {
  if (arguments.positional.empty()) Raise("at least one item has to be provided");
  for (const Value& item : arguments.positional) {
    if (item.HoldsObject()) Raise("unsupported: an object inside a cycler");
  }
  struct State {
    std::vector<Value> items;
    size_t at = 0;
  };
  auto state = std::make_shared<State>(State{arguments.positional});
  auto object = std::make_shared<Object>();
  object->kind = "Cycler";
  interpreter.Keep(object);
  Object* raw = object.get();
  object->Set("current", state->items[0]);
  object->attributes.emplace_back("reset",
                                  MakeFunction("reset", [state, raw](Interpreter&, Arguments&) {
                                    state->at = 0;
                                    raw->Set("current", state->items[0]);
                                    return Value(None{});
                                  }));
  object->attributes.emplace_back("next",
                                  MakeFunction("next", [state, raw](Interpreter&, Arguments&) {
                                    Value out = state->items[state->at];
                                    state->at = (state->at + 1) % state->items.size();
                                    raw->Set("current", state->items[state->at]);
                                    return out;
                                  }));
  return Value(std::move(object));
}

Value Joiner(Interpreter&, Arguments& arguments) {
  const std::string separator = Parameters("joiner", arguments, {"sep"}).Text(0, ", ");
  auto used = std::make_shared<bool>(false);
  return MakeFunction("joiner", [separator, used](Interpreter&, Arguments&) {
    return std::exchange(*used, true) ? Value(separator) : Value("");
  });
}

}  // namespace

Value MakeRange(int64_t start, int64_t stop, int64_t step) {
  if (step == 0) Raise("range() arg 3 must not be zero");
  auto list = std::make_shared<List>();
  list->kind = List::kRange;
  list->range = {start, stop, step};
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (list->items.size() >= kMaxRange) Raise("range too big; at most 100000 numbers are allowed");
    list->items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  list->weight = static_cast<int64_t>(list->items.size()) + 1;
  return Value(std::shared_ptr<const List>(std::move(list)));
}

Parameters::Parameters(std::string_view function, Arguments& arguments,
                       std::initializer_list<std::string_view> names)
    : function_(function), names_(names), values_(names.size()) {
  if (arguments.positional.size() > names_.size()) {
    Raise(function_ + "() takes at most " + std::to_string(names_.size()) + " arguments");
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto it = std::find(names_.begin(), names_.end(), name);
    if (it == names_.end())
      Raise(function_ + "() got an unexpected keyword argument '" + name + "'");
    values_[static_cast<size_t>(it - names_.begin())] = &value;
  }
}

const Value& Parameters::At(size_t i) const {
  if (values_[i] == nullptr)
    Raise(function_ + "() needs the argument '" + std::string(names_[i]) + "'");
  return *values_[i];
}
bool Parameters::Flag(size_t i, bool otherwise) const {
  return values_[i] == nullptr ? otherwise : Truthy(*values_[i]);
}
int64_t Parameters::IntOrNone(size_t i, int64_t otherwise) const {
  return values_[i] != nullptr && values_[i]->IsNone() ? otherwise : Int(i, otherwise);
}
int64_t Parameters::Int(size_t i, int64_t otherwise) const {
  if (values_[i] == nullptr) return otherwise;
  int64_t out = 0;
  if (!values_[i]->Integer(out)) {
    Raise(function_ + "(): '" + TypeName(*values_[i]) +
          "' object cannot be interpreted as an integer");
  }
  return out;
}
std::string Parameters::Text(size_t i, std::string otherwise) const {
  const std::string* text = MaybeText(i);
  if (values_[i] != nullptr && text == nullptr) Raise(function_ + "(): expected str, not NoneType");
  return text == nullptr ? otherwise : *text;
}

const std::string* Parameters::MaybeText(size_t i) const {
  if (values_[i] == nullptr || values_[i]->IsNone()) return nullptr;
  if (const auto* u = values_[i]->As<Undefined>()) Raise(u->what);
  if (values_[i]->String() == nullptr)
    Raise(function_ + "(): expected str, not " + TypeName(*values_[i]));
  return values_[i]->String();
}

Value MakeFunction(std::string name, std::function<Value(Interpreter&, Arguments&)> call,
                   const Value& bound) {
  auto callable = std::make_shared<Callable>();
  callable->name = std::move(name);
  callable->call = std::move(call);
  callable->depth = bound.Depth() + 1;
  callable->weight = bound.Weight();
  callable->holds_object = bound.HoldsObject();
  return Value(std::shared_ptr<const Callable>(std::move(callable)));
}

std::unordered_map<std::string_view, Value> GlobalFunctions() {
  std::unordered_map<std::string_view, Value> out;
  const auto add = [&](const char* name, Value (*call)(Interpreter&, Arguments&)) {
    out.emplace(name, MakeFunction(name, call));
  };
  add("range", Range);
  add("dict", MakeDict);
  add("namespace", Namespace);
  add("raise_exception", RaiseException);
  add("strftime_now", StrftimeNow);
  add("lipsum", Lipsum);
  add("cycler", Cycler);
  add("joiner", Joiner);
  return out;
}

}  // namespace awq::jinja
