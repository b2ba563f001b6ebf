#include "awq/text/jinja/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

constexpr int kMaxDepth = 100;
constexpr int kMaxUnnamed = 20000;  // each is searched for among all
constexpr int64_t kMaxWeight = int64_t{1} << 24;

int CheckedDepth(int depth) {
  if (depth > kMaxDepth) Raise("limit: values are nested too deeply");
  return depth;
}

int64_t CheckedWeight(int64_t weight) {
  if (weight > kMaxWeight) Raise("limit: a value is too large");
  return weight;
}

}  // namespace

void Raise(std::string message) { throw EvalError{std::move(message)}; }

Value::Value(std::shared_ptr<const List> l) : data_(std::move(l)) {}
Value::Value(std::shared_ptr<const Dict> d) : data_(std::move(d)) {}

Value Value::MakeMarkup(std::string text) {
  Value v;
  v.data_ = Markup{std::make_shared<const std::string>(std::move(text))};
  return v;
}

Value Value::MakeList(std::vector<Value> items, bool tuple) {
  return MakeSequence(std::move(items), tuple ? List::kTuple : List::kList);
}

Value Value::MakeSequence(std::vector<Value> items, int kind, std::string name) {
  auto list = std::make_shared<List>();
  for (const Value& v : items) {
    list->holds_object |= v.HoldsObject();
    list->depth = std::max(list->depth, CheckedDepth(v.Depth() + 1));
    list->weight = CheckedWeight(list->weight + v.Weight());
  }
  list->items = std::move(items);
  list->kind = static_cast<List::Kind>(kind);
  list->name = std::move(name);
  return Value(std::shared_ptr<const List>(std::move(list)));
}

Value Value::FromJson(const RawJson& json) {
  switch (json.type()) {
    case RawJson::value_t::null:
      return None{};
    case RawJson::value_t::boolean:
      return json.get<bool>();
    case RawJson::value_t::number_integer:
      return json.get<int64_t>();
    case RawJson::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
        Raise("limit: an integer beyond 64 bits");
      return json.get<int64_t>();
    case RawJson::value_t::number_float:
      return json.get<double>();
    case RawJson::value_t::string:
      return ReplaceInvalidUtf8(json.get_ref<const std::string&>());
    case RawJson::value_t::array: {
      std::vector<Value> items;
      for (const RawJson& e : json) items.push_back(FromJson(e));
      return MakeList(std::move(items));
    }
    case RawJson::value_t::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, value] : json.items()) dict->Set(Value(key), FromJson(value));
      return Value(std::shared_ptr<const Dict>(std::move(dict)));
    }
    default:
      Raise("a value of the context is no JSON");
  }
}

const std::string* Value::String() const {
  if (const auto* p = As<std::shared_ptr<const std::string>>()) return p->get();
  const auto* markup = As<Markup>();
  return markup == nullptr ? nullptr : markup->text.get();
}
const List* Value::AsList() const {
  const auto* p = As<std::shared_ptr<const List>>();
  return p == nullptr ? nullptr : p->get();
}
const Dict* Value::AsDict() const {
  const auto* p = As<std::shared_ptr<const Dict>>();
  return p == nullptr ? nullptr : p->get();
}
Object* Value::AsObject() const {
  const auto* p = As<std::shared_ptr<Object>>();
  return p == nullptr ? nullptr : p->get();
}
const Callable* Value::AsCallable() const {
  const auto* p = As<std::shared_ptr<const Callable>>();
  return p == nullptr ? nullptr : p->get();
}

bool Value::Integer(int64_t& out) const {
  if (const auto* i = As<int64_t>())
    out = *i;
  else if (const auto* b = As<bool>())
    out = *b ? 1 : 0;
  else
    return false;
  return true;
}

bool Value::Number(double& out) const {
  int64_t i = 0;
  if (const auto* d = As<double>())
    out = *d;
  else if (Integer(i))
    out = static_cast<double>(i);
  else
    return false;
  return true;
}

int Value::Depth() const {
  if (const List* l = AsList()) return l->depth;
  if (const Dict* d = AsDict()) return d->depth;
  if (const Callable* c = AsCallable()) return c->depth;
  if (const Object* o = AsObject(); o != nullptr && !o->settable)
    Raise("unsupported: " + o->kind + " objects cannot be kept inside other values");
  return 0;
}

bool Value::HoldsObject() const {
  if (const List* l = AsList()) return l->holds_object;
  if (const Dict* d = AsDict()) return d->holds_object;
  if (const Callable* c = AsCallable()) return c->holds_object;
  return AsObject() != nullptr;
}

int64_t Value::Weight() const {
  if (const std::string* s = String()) return 1 + static_cast<int64_t>(s->size() / 16);
  if (const List* l = AsList()) return l->weight;
  if (const Dict* d = AsDict()) return d->weight;
  if (const Callable* c = AsCallable()) return c->weight;
  int64_t weight = 1;
  if (const Object* o = AsObject()) {
    for (const auto& [name, value] : o->attributes) weight = CheckedWeight(weight + value.Weight());
  }
  return weight;
}

bool IsHashable(const Value& v) {
  const List* list = v.AsList();
  if (list == nullptr) return v.AsDict() == nullptr;
  if (!list->IsTuple())
    return list->kind == List::kIterator || list->kind == List::kRange ||
           list->kind == List::kValues;
  return std::all_of(list->items.begin(), list->items.end(), IsHashable);
}

void CheckKey(const Value& key) {
  if (!IsHashable(key)) Raise("unhashable type: '" + TypeName(key) + "'");
}

void CheckNamespaceName(std::string_view name) {
  if (name.starts_with('_'))
    Raise("a namespace's attribute may not begin with an underscore: " + std::string(name));
}

const Value* Dict::Find(const Value& key) const {
  if (key.String() != nullptr) return FindName(*key.String());
  for (const auto& [k, v] : items) {
    if (Equal(k, key)) return &v;
  }
  return nullptr;
}

const Value* Dict::FindName(std::string_view key) const {
  const auto [begin, end] = names_.equal_range(std::hash<std::string_view>{}(key));
  for (auto it = begin; it != end; ++it) {
    const auto& [k, v] = items[it->second];
    if (*k.String() == key) return &v;
  }
  return nullptr;
}

void Dict::Set(Value key, Value value) {
  CheckKey(key);
  holds_object |= key.HoldsObject() || value.HoldsObject();
  depth = std::max(depth, CheckedDepth(std::max(value.Depth(), key.Depth()) + 1));
  weight = CheckedWeight(weight + key.Weight() + value.Weight());
  if (const Value* old = Find(key)) {
    const_cast<Value&>(*old) = std::move(value);
  } else {
    if (const std::string* name = key.String()) {
      names_.emplace(std::hash<std::string_view>{}(*name), items.size());
    } else if (++unnamed_ > kMaxUnnamed) {
      Raise("limit: a dictionary with so many keys that are no str");
    }
    items.emplace_back(std::move(key), std::move(value));
  }
}

const Value* Object::Find(std::string_view name) const {
  for (const auto& [k, v] : attributes) {
    if (k == name) return &v;
  }
  return nullptr;
}

void Object::Set(std::string_view name, Value value) {
  if (value.HoldsObject()) Raise("unsupported: an object inside another one");
  for (auto& [k, v] : attributes) {
    if (k == name) {
      v = std::move(value);
      return;
    }
  }
  attributes.emplace_back(std::string(name), std::move(value));
}

bool Truthy(const Value& v) {
  double number = 0;
  if (v.IsUndefined() || v.IsNone()) return false;
  if (v.Number(number)) return number != 0;
  if (const std::string* s = v.String()) return !s->empty();
  if (const List* l = v.AsList()) return l->kind == List::kIterator || !l->items.empty();
  if (const Dict* d = v.AsDict()) return !d->items.empty();
  return true;
}

namespace {

// Holds every int64_t and every double; false when it is no number.
bool ExactNumber(const Value& v, long double& out) {
  int64_t i = 0;
  double d = 0;
  if (v.Integer(i)) {
    out = static_cast<long double>(i);
    return true;
  }
  if (!v.Number(d)) return false;
  out = d;
  return true;
}

// Views of dictionaries, as sets.
bool IsSubset(const List& a, const List& b) {
  Dict other;
  const bool pairs = b.kind == List::kItems;
  for (const Value& y : b.items) {
    other.Set(pairs ? y.AsList()->items[0] : y, pairs ? y.AsList()->items[1] : Value(None{}));
  }
  return std::all_of(a.items.begin(), a.items.end(), [&](const Value& x) {
    if (!pairs) {
      CheckKey(x);
      return other.Find(x) != nullptr;
    }
    const List* pair = x.AsList();
    if (pair == nullptr || !pair->IsTuple() || pair->items.size() != 2) return false;
    const Value* value = other.Find(pair->items[0]);
    return value != nullptr && Equal(*value, pair->items[1]);
  });
}

}  // namespace

bool Equal(const Value& a, const Value& b) {
  int64_t i = 0;
  int64_t j = 0;
  if (a.Integer(i) && b.Integer(j)) return i == j;
  long double x = 0;
  long double y = 0;
  if (ExactNumber(a, x) && ExactNumber(b, y)) return x == y;
  if (a.String() != nullptr && b.String() != nullptr) return *a.String() == *b.String();
  if (a.IsNone() || b.IsNone()) return a.IsNone() && b.IsNone();
  if (a.IsUndefined() || b.IsUndefined()) return a.IsUndefined() && b.IsUndefined();
  if (const List* l = a.AsList(), *m = b.AsList(); l != nullptr && m != nullptr) {
    if (l == m) return true;
    if (l->IsSetView() && m->IsSetView())
      return l->items.size() == m->items.size() && IsSubset(*l, *m);
    if (l->IsTuple() != m->IsTuple() || (!l->IsTuple() && l->kind != m->kind)) return false;
    if (!l->IsSequence()) return false;
    return std::equal(l->items.begin(), l->items.end(), m->items.begin(), m->items.end(), Equal);
  }
  if (const Dict* d = a.AsDict(), *e = b.AsDict(); d != nullptr && e != nullptr) {
    if (d->items.size() != e->items.size()) return false;
    for (const auto& [key, value] : d->items) {
      const Value* other = e->Find(key);
      if (other == nullptr || !Equal(value, *other)) return false;
    }
    return true;
  }
  if (a.AsObject() != nullptr) return a.AsObject() == b.AsObject();
  if (a.AsCallable() != nullptr) return a.AsCallable() == b.AsCallable();
  return false;
}

bool Less(const Value& a, const Value& b) {
  int64_t i = 0;
  int64_t j = 0;
  if (a.Integer(i) && b.Integer(j)) return i < j;
  long double x = 0;
  long double y = 0;
  if (ExactNumber(a, x) && ExactNumber(b, y)) return x < y;
  if (a.String() != nullptr && b.String() != nullptr) return *a.String() < *b.String();
  if (const List* l = a.AsList(), *m = b.AsList();
      l != nullptr && m != nullptr &&
      ((l->IsTuple() && m->IsTuple()) || (l->kind == List::kList && m->kind == List::kList))) {
    for (size_t k = 0; k < std::min(l->items.size(), m->items.size()); ++k) {
      if (!Equal(l->items[k], m->items[k])) return Less(l->items[k], m->items[k]);
    }
    return l->items.size() < m->items.size();
  }
  if (const List* l = a.AsList(), *m = b.AsList();
      l != nullptr && m != nullptr && l->IsSetView() && m->IsSetView())
    return l->items.size() < m->items.size() && IsSubset(*l, *m);
  for (const Value* v : {&a, &b}) {
    if (const auto* u = v->As<Undefined>()) Raise(u->what);
  }
  Raise("'<' not supported between instances of '" + TypeName(a) + "' and '" + TypeName(b) + "'");
}

std::string TypeName(const Value& v) {
  if (v.IsUndefined()) return "Undefined";
  if (v.IsNone()) return "NoneType";
  if (v.As<bool>() != nullptr) return "bool";
  if (v.As<int64_t>() != nullptr) return "int";
  if (v.As<double>() != nullptr) return "float";
  if (v.As<Markup>() != nullptr) return "Markup";
  if (v.String() != nullptr) return "str";
  if (const List* l = v.AsList()) {
    static constexpr const char* kNames[] = {"list",       "tuple",     "_GroupTuple", "range",
                                             "dict_items", "dict_keys", "dict_values"};
    return l->kind == List::kIterator ? l->name : kNames[l->kind];
  }
  if (v.AsDict() != nullptr) return "dict";
  if (const Object* o = v.AsObject()) return o->kind;
  return "function";
}

const Value* TakeNext(const List& iterator) {
  if (iterator.taken < iterator.items.size()) return &iterator.items[iterator.taken++];
  if (!iterator.error.empty()) Raise(iterator.error);
  return nullptr;
}

std::vector<Value> Elements(const Value& v) {
  if (v.IsUndefined()) return {};
  if (const List* l = v.AsList(); l != nullptr && l->kind == List::kIterator) {
    std::vector<Value> rest;
    while (const Value* next = TakeNext(*l)) rest.push_back(*next);
    return rest;
  }
  if (const List* l = v.AsList()) return l->items;
  std::vector<Value> out;
  if (const Dict* d = v.AsDict()) {
    for (const auto& item : d->items) out.push_back(item.first);
    return out;
  }
  if (const std::string* s = v.String()) {
    for (std::string_view c : Characters(*s)) out.emplace_back(std::string(c));
    return out;
  }
  if (v.AsObject() != nullptr && v.AsObject()->kind == "loop")
    Raise("unsupported: `loop` as something to go through");
  Raise("'" + TypeName(v) + "' object is not iterable");
}

int64_t Length(const Value& v) {
  if (v.IsUndefined()) return 0;
  if (const List* l = v.AsList(); l != nullptr && l->kind != List::kIterator)
    return static_cast<int64_t>(l->items.size());
  if (const Dict* d = v.AsDict()) return static_cast<int64_t>(d->items.size());
  if (const std::string* s = v.String()) return CountCharacters(*s);
  int64_t length = 0;
  if (const Object* o = v.AsObject();
      o != nullptr && o->kind == "loop" && o->Find("length")->Integer(length))
    return length;
  Raise("object of type '" + TypeName(v) + "' has no len()");
}

}  // namespace awq::jinja
