// Value: what a template computes with; Python's values as far as chat templates see them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "awq/base/json.h"

namespace awq::jinja {

class Value;
struct List;
struct Dict;
struct Object;
struct Callable;

struct Undefined {
  std::string what;  // for messages: "'x' is undefined"
};
struct None {};
// Text that counts as escaped for HTML: a str, with which what joins it is escaped (markup.h).
struct Markup {
  std::shared_ptr<const std::string> text;
};

// Cheap to copy: texts and containers are shared. Lists and dictionaries do not change once built.
class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(None) : data_(None{}) {}  // NOLINT: literals convert
  Value(bool b) : data_(b) {}     // NOLINT
  Value(int64_t i) : data_(i) {}  // NOLINT
  Value(double d) : data_(d) {}   // NOLINT
  Value(std::string s) : data_(std::make_shared<const std::string>(std::move(s))) {}  // NOLINT
  Value(const char* s) : Value(std::string(s)) {}                                     // NOLINT
  Value(std::shared_ptr<const List> l);                                               // NOLINT
  Value(std::shared_ptr<const Dict> d);                                               // NOLINT
  Value(std::shared_ptr<Object> o) : data_(std::move(o)) {}                           // NOLINT
  Value(std::shared_ptr<const Callable> c) : data_(std::move(c)) {}                   // NOLINT
  static Value MakeUndefined(std::string what) {
    Value v;
    v.data_ = Undefined{std::move(what)};
    return v;
  }
  static Value MakeMarkup(std::string text);
  static Value MakeList(std::vector<Value> items, bool tuple = false);
  // A range, view, group or iterator of List's kinds.
  static Value MakeSequence(std::vector<Value> items, int kind, std::string name = {});
  static Value FromJson(const RawJson& json);

  template <typename T>
  const T* As() const {
    return std::get_if<T>(&data_);
  }
  bool IsUndefined() const { return As<Undefined>() != nullptr; }
  bool IsNone() const { return As<None>() != nullptr; }
  const std::string* String() const;  // of Markup too
  const List* AsList() const;
  const Dict* AsDict() const;
  Object* AsObject() const;
  const Callable* AsCallable() const;
  // A number as a double; bool counts as 0 or 1. False when it is none.
  bool Number(double& out) const;
  bool Integer(int64_t& out) const;  // int or bool
  // How deeply containers are nested in it.
  int Depth() const;
  // Whether it is an object, or one is inside it.
  bool HoldsObject() const;
  // How much there is to walk through: a unit for every value, and for every 16 bytes of text.
  int64_t Weight() const;

 private:
  std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const std::string>, Markup,
               std::shared_ptr<const List>, std::shared_ptr<const Dict>, std::shared_ptr<Object>,
               std::shared_ptr<const Callable>>
      data_;
};

struct List {
  enum Kind {
    kList,
    kTuple,
    kGroup,  // what groupby gives: a tuple with the attributes grouper and list
    kRange,  // range(); `range` holds its bounds
    kItems,  // views of dictionaries
    kKeys,
    kValues,
    kIterator,  // what Python's generators and iterators are: without length, used up once
  };
  std::vector<Value> items;
  Kind kind = kList;
  int depth = 1;
  int64_t weight = 1;
  bool holds_object = false;
  std::vector<int64_t> range;
  // Of iterators: the name of its type, how many items are taken, and the error after the last.
  std::string name;
  mutable size_t taken = 0;
  std::string error;

  bool IsTuple() const { return kind == kTuple || kind == kGroup; }
  // Compares as a set does.
  bool IsSetView() const { return kind == kKeys || kind == kItems; }
  // Can be indexed and sliced.
  bool IsSequence() const { return kind == kList || IsTuple() || kind == kRange; }
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order of insertion
  int depth = 1;
  int64_t weight = 1;
  bool holds_object = false;

  const Value* Find(const Value& key) const;
  const Value* FindName(std::string_view key) const;
  // Replaces or appends. Throws when values nest too deeply or are too many.
  void Set(Value key, Value value);

 private:
  int unnamed_ = 0;
  std::unordered_multimap<size_t, size_t> names_;  // hash and place of keys that are str
};

// Something with attributes that change: `loop`, namespace(), cycler(). Values form no cycles:
// containers hold no objects but namespaces, and no object holds one.
struct Object {
  virtual ~Object() = default;
  std::string kind;
  bool settable = false;
  std::vector<std::pair<std::string, Value>> attributes;

  virtual const Value* Find(std::string_view name) const;
  void Set(std::string_view name, Value value);
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};
class Interpreter;

struct Macro;

struct Callable {
  std::string name;
  const Macro* macro = nullptr;  // of a macro, which has attributes
  std::function<Value(Interpreter&, Arguments&)> call;
  int depth = 1;
  int64_t weight = 1;  // of what it is bound to
  bool holds_object = false;
};

// A template's run-time error; the interpreter adds the position. Text for the user.
struct EvalError {
  std::string message;
};
[[noreturn]] void Raise(std::string message);

bool Truthy(const Value& v);
bool Equal(const Value& a, const Value& b);
// Python's order; throws for values without one.
bool Less(const Value& a, const Value& b);
// Name of the type in Python.
std::string TypeName(const Value& v);
bool IsHashable(const Value& v);
// Throws for what cannot be a dictionary's key.
void CheckKey(const Value& key);
// Transformers refuses attributes of a namespace that begin with an underscore.
void CheckNamespaceName(std::string_view name);
// str() and repr().
std::string ToString(const Value& v);
std::string Repr(const Value& v);
// `indent`: the text of one level of nesting; null for one line.
std::string ToJson(const Value& v, const std::string* indent, bool ascii, bool sorted,
                   std::string_view item, std::string_view colon);
std::string FormatDouble(double d);
// The elements that a for loop sees: items, keys, characters. Throws when there are none to see.
// Uses up iterators.
std::vector<Value> Elements(const Value& v);
// The next of an iterator's; null at its end.
const Value* TakeNext(const List& iterator);
// Throws when it has no length.
int64_t Length(const Value& v);

}  // namespace awq::jinja
