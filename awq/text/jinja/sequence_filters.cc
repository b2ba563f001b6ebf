// Filters of sequences and mappings, and what stands in for what is missing.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "awq/text/jinja/filter_list.h"
#include "awq/text/jinja/markup.h"
#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

// ---- attributes by path: "function.name", "0.text"

Value Path(Interpreter& in, const Value& item, std::string_view path) {
  Value v = item;
  while (true) {
    const size_t dot = path.find('.');
    const std::string part(path.substr(0, dot));
    const bool is_index = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
      return c >= '0' && c <= '9';
    }) && part.size() < 10;
    v = in.Item(v, is_index ? Value(static_cast<int64_t>(std::atoll(part.c_str()))) : Value(part));
    if (dot == std::string_view::npos) return v;
    path.remove_prefix(dot + 1);
  }
}

Value MaybePath(Interpreter& in, const Value& item, const Value* attribute) {
  if (attribute == nullptr || attribute->IsNone()) return item;
  int64_t i = 0;
  if (attribute->Integer(i)) return in.Item(item, *attribute);
  return Path(in, item, ToString(*attribute));
}

// Strings compare without case unless told otherwise.
Value FoldCase(const Value& v, bool case_sensitive) {
  return v.String() != nullptr && !case_sensitive ? Value(Lower(*v.String())) : v;
}

Value ListOf(std::vector<Value> items) { return Value::MakeList(std::move(items)); }

// What Jinja's filters that are generators give. They run here at once, but what goes wrong in one
// shows where its items are used.
template <typename Fill>
Value Generate(const Fill& fill) {
  auto list = std::make_shared<List>();
  list->kind = List::kIterator;
  list->name = "generator";
  try {
    fill(list->items);
  } catch (const EvalError& e) {
    if (e.message.starts_with("limit:")) throw;
    list->error = e.message;
  }
  const Value checked = Value::MakeList(list->items);
  list->depth = checked.AsList()->depth;
  list->weight = checked.AsList()->weight;
  return Value(std::shared_ptr<const List>(std::move(list)));
}

Value Default(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("default", a, {"default_value", "boolean"});
  if (!v.IsUndefined() && !(p.Flag(1, false) && !Truthy(v))) return v;
  return p.Find(0) != nullptr ? *p.Find(0) : Value("");
}

Value Join(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("join", a, {"d", "attribute"});
  const std::string separator = p.Find(0) == nullptr ? "" : ToString(*p.Find(0));
  std::string out;
  bool first = true;
  for (const Value& item : Elements(v)) {
    if (!std::exchange(first, false)) out += separator;
    const std::string part = ToString(MaybePath(in, item, p.Find(1)));
    in.Charge(part.size() + separator.size());
    out += part;
  }
  return Value(std::move(out));
}

// The first or last element; what has them at hand is not walked through.
Value Outermost(const Value& v, bool last) {
  const auto of = [&](const auto& items, const auto& element) {
    if (items.empty())
      return Value::MakeUndefined(last ? "No last item, sequence was empty."
                                       : "No first item, sequence was empty.");
    return element(last ? items.back() : items.front());
  };
  const auto same = [](const Value& item) { return item; };
  if (const List* l = v.AsList()) return of(l->items, same);
  if (const Dict* d = v.AsDict())
    return of(d->items, [](const std::pair<Value, Value>& item) { return item.first; });
  return of(Elements(v), same);
}

Value First(Interpreter&, const Value& v, Arguments&) {
  const List* l = v.AsList();
  if (l == nullptr || l->kind != List::kIterator) return Outermost(v, false);
  const Value* next = TakeNext(*l);
  return next != nullptr ? *next : Value::MakeUndefined("No first item, sequence was empty.");
}
Value Last(Interpreter&, const Value& v, Arguments&) {
  if (const List* l = v.AsList(); l != nullptr && l->kind == List::kIterator)
    Raise("'" + l->name + "' object is not reversible");
  if (v.As<Markup>() != nullptr && !v.String()->empty()) return ElementAt(v, -1);
  return Outermost(v, true);
}

Value Reverse(Interpreter&, const Value& v, Arguments&) {
  auto items = Elements(v);
  std::reverse(items.begin(), items.end());
  const List* list = v.AsList();
  if (list != nullptr && list->kind == List::kIterator) return ListOf(std::move(items));
  if (v.String() == nullptr)
    return Value::MakeSequence(std::move(items), List::kIterator, "reversed iterator");
  std::string out;
  for (const Value& c : items) out += *c.String();
  return Like(v, std::move(out));
}

std::vector<Value> SortBy(std::vector<std::pair<Value, Value>> keyed, bool reverse) {
  // Python keeps the order of equals in both directions.
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& x, const auto& y) {
    return reverse ? Less(y.first, x.first) : Less(x.first, y.first);
  });
  std::vector<Value> out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return out;
}

Value Sort(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("sort", a, {"reverse", "case_sensitive", "attribute"});
  std::vector<std::string> paths;
  if (p.Find(2) != nullptr && !p.Find(2)->IsNone()) {
    std::string all = ToString(*p.Find(2));
    for (size_t at = 0; at <= all.size();) {
      const size_t end = std::min(all.find(',', at), all.size());
      paths.push_back(all.substr(at, end - at));
      at = end + 1;
    }
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : Elements(v)) {
    std::vector<Value> keys;
    for (const std::string& path : paths)
      keys.push_back(FoldCase(Path(in, item, path), p.Flag(1, false)));
    Value key = paths.empty() ? FoldCase(item, p.Flag(1, false)) : Value::MakeList(std::move(keys));
    keyed.emplace_back(std::move(key), std::move(item));
  }
  return ListOf(SortBy(std::move(keyed), p.Flag(0, false)));
}

Value DictSort(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("dictsort", a, {"case_sensitive", "by", "reverse"});
  const std::string by = p.Text(1, "key");
  if (by != "key" && by != "value") Raise("You can only sort by either \"key\" or \"value\"");
  if (v.AsDict() == nullptr) Raise("dictsort: expected a mapping, found " + TypeName(v));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : v.AsDict()->items) {
    keyed.emplace_back(FoldCase(by == "key" ? key : value, p.Flag(0, false)),
                       Value::MakeList({key, value}, true));
  }
  return ListOf(SortBy(std::move(keyed), p.Flag(2, false)));
}

Value Unique(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("unique", a, {"case_sensitive", "attribute"});
  return Generate([&](std::vector<Value>& out) {
    std::vector<Value> seen;
    for (Value& item : Elements(v)) {
      Value key = FoldCase(MaybePath(in, item, p.Find(1)), p.Flag(0, false));
      CheckKey(key);
      in.Charge(seen.size());  // the search below
      if (std::any_of(seen.begin(), seen.end(), [&](const Value& s) { return Equal(s, key); }))
        continue;
      seen.push_back(std::move(key));
      out.push_back(std::move(item));
    }
  });
}

Value Extreme(Interpreter& in, const Value& v, Arguments& a, bool largest) {
  const Parameters p(largest ? "max" : "min", a, {"case_sensitive", "attribute"});
  Value best = Value::MakeUndefined("No aggregated item, sequence was empty.");
  Value best_key;
  bool first = true;
  for (Value& item : Elements(v)) {
    Value key = FoldCase(MaybePath(in, item, p.Find(1)), p.Flag(0, false));
    if (std::exchange(first, false) || (largest ? Less(best_key, key) : Less(key, best_key))) {
      best = std::move(item);
      best_key = std::move(key);
    }
  }
  return best;
}

Value Sum(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("sum", a, {"attribute", "start"});
  Value total = p.Find(1) != nullptr ? *p.Find(1) : Value(int64_t{0});
  for (const Value& item : Elements(v))
    total = Arithmetic(in, "+", total, MaybePath(in, item, p.Find(0)));
  return total;
}

Value Items(Interpreter&, const Value& v, Arguments&) {
  return Generate([&](std::vector<Value>& out) {
    if (v.IsUndefined()) return;
    if (v.AsDict() == nullptr) Raise("Can only get item pairs from a mapping.");
    for (const auto& [key, value] : v.AsDict()->items)
      out.push_back(Value::MakeList({key, value}, true));
  });
}

Value Batch(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("batch", a, {"linecount", "fill_with"});
  const Value& size = p.At(0);  // anything: a batch ends where its length is equal to it
  const Value* fill = p.Find(1) != nullptr && !p.Find(1)->IsNone() ? p.Find(1) : nullptr;
  const auto length = [](const std::vector<Value>& part) {
    return Value(static_cast<int64_t>(part.size()));
  };
  if (Less(Value(int64_t{1000000}), size.As<int64_t>() != nullptr ? size : Value(int64_t{0})))
    Raise("limit: batch of more than 1000000 items");
  return Generate([&](std::vector<Value>& out) {
    std::vector<Value> part;
    for (Value& item : Elements(v)) {
      if (Equal(length(part), size)) out.push_back(ListOf(std::exchange(part, {})));
      part.push_back(std::move(item));
    }
    if (part.empty()) return;
    if (fill != nullptr && Less(length(part), size)) {
      for (auto n = p.Int(0, 0) - static_cast<int64_t>(part.size()); n > 0; --n)
        part.push_back(*fill);
    }
    out.push_back(ListOf(std::move(part)));
  });
}

Value SliceFilter(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("slice", a, {"slices", "fill_with"});
  p.At(0);
  return Generate([&](std::vector<Value>& out) {
    const auto items = Elements(v);
    const int64_t slices = p.Int(0, 0);
    if (slices > 100000) Raise("limit: slice into more than 100000 parts");
    in.Charge(static_cast<size_t>(std::max<int64_t>(slices, 0)) * sizeof(Value));
    if (slices == 0) Raise("integer division or modulo by zero");
    if (slices < 0) return;
    const int64_t each = static_cast<int64_t>(items.size()) / slices;
    const int64_t more = static_cast<int64_t>(items.size()) % slices;
    size_t at = 0;
    for (int64_t i = 0; i < slices; ++i) {
      const auto count = static_cast<size_t>(each + (i < more ? 1 : 0));
      std::vector<Value> part(items.begin() + static_cast<int64_t>(at),
                              items.begin() + static_cast<int64_t>(at + count));
      at += count;
      if (p.Find(1) != nullptr && !p.Find(1)->IsNone() && i >= more) part.push_back(*p.Find(1));
      out.push_back(ListOf(std::move(part)));
    }
  });
}

void MapAttribute(Interpreter& in, const Value& v, Arguments& a, std::vector<Value>& out) {
  const Parameters p("map", a, {"attribute", "default"});
  for (const Value& item : Elements(v)) {
    Value found = MaybePath(in, item, &p.At(0));
    out.push_back(found.IsUndefined() && p.Find(1) != nullptr ? *p.Find(1) : std::move(found));
  }
}

// Wrong arguments are an error only when there is something to map.
Value Map(Interpreter& in, const Value& v, Arguments& a) {
  return Generate([&](std::vector<Value>& out) {
    if (!Truthy(v)) return;
    if (a.positional.empty()) return MapAttribute(in, v, a, out);
    const std::string filter = ToString(a.positional[0]);
    for (const Value& item : Elements(v)) {
      Arguments rest;
      rest.positional.assign(a.positional.begin() + 1, a.positional.end());
      rest.named = a.named;
      out.push_back(in.ApplyFilter(filter, item, rest));
    }
  });
}

// select, reject, selectattr, rejectattr: by a test, or by truth.
Value Choose(Interpreter& in, const Value& v, const Arguments& a, bool by_attribute, bool keep) {
  const size_t skip = by_attribute ? 1 : 0;
  return Generate([&](std::vector<Value>& out) {
    if (!Truthy(v)) return;
    if (a.positional.size() < skip) Raise("Missing parameter for attribute name");
    for (Value& item : Elements(v)) {
      const Value subject = by_attribute ? MaybePath(in, item, &a.positional[0]) : item;
      bool holds = Truthy(subject);
      if (a.positional.size() > skip) {
        Arguments rest;
        rest.positional.assign(a.positional.begin() + static_cast<int64_t>(skip) + 1,
                               a.positional.end());
        rest.named = a.named;
        holds = in.ApplyTest(ToString(a.positional[skip]), subject, rest);
      }
      if (holds == keep) out.push_back(std::move(item));
    }
  });
}

// The attribute alone, never an item.
Value Attr(Interpreter& in, const Value& v, Arguments& a) {
  const std::string name = Parameters("attr", a, {"name"}).Text(0, "");
  if (const auto* u = v.As<Undefined>(); u != nullptr && !name.starts_with("__")) Raise(u->what);
  if (v.AsObject() != nullptr) return in.Attribute(v, name);
  Value method = FindMethod(v, name);
  if (!method.IsUndefined()) return method;
  return Value::MakeUndefined("'" + TypeName(v) + " object' has no attribute '" + name + "'");
}

Value GroupBy(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("groupby", a, {"attribute", "default", "case_sensitive"});
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : Elements(v)) {
    Value key = MaybePath(in, item, &p.At(0));
    if (key.IsUndefined() && p.Find(1) != nullptr) key = *p.Find(1);
    keyed.emplace_back(FoldCase(key, p.Flag(2, false)), Value::MakeList({key, item}, true));
  }
  std::vector<Value> out;
  std::vector<Value> group;
  Value group_key;
  Value shown;
  const auto close = [&] {
    if (group.empty()) return;
    out.push_back(Value::MakeSequence({shown, ListOf(std::exchange(group, {}))}, List::kGroup));
  };
  for (const Value& pair : SortBy(std::move(keyed), false)) {
    const auto& both = pair.AsList()->items;
    const Value folded = FoldCase(both[0], p.Flag(2, false));
    if (!Equal(folded, group_key) || group.empty()) {
      close();
      group_key = folded;
      shown = both[0];
    }
    group.push_back(both[1]);
  }
  close();
  return ListOf(std::move(out));
}

constexpr FilterEntry kFilters[] = {
    {"attr", [](Interpreter& in, const Value& v, Arguments& a) { return Attr(in, v, a); }},
    {"batch", Batch},
    {"count", [](Interpreter&, const Value& v, Arguments&) { return Value(Length(v)); }},
    {"d", Default},
    {"default", Default},
    {"dictsort", DictSort},
    {"first", First},
    {"groupby", GroupBy},
    {"items", Items},
    {"join", Join},
    {"last", Last},
    {"length", [](Interpreter&, const Value& v, Arguments&) { return Value(Length(v)); }},
    {"list", [](Interpreter&, const Value& v, Arguments&) { return ListOf(Elements(v)); }},
    {"map", Map},
    {"max", [](Interpreter& in, const Value& v, Arguments& a) { return Extreme(in, v, a, true); }},
    {"min", [](Interpreter& in, const Value& v, Arguments& a) { return Extreme(in, v, a, false); }},
    {"reject",
     [](Interpreter& in, const Value& v, Arguments& a) { return Choose(in, v, a, false, false); }},
    {"rejectattr",
     [](Interpreter& in, const Value& v, Arguments& a) { return Choose(in, v, a, true, false); }},
    {"reverse", Reverse},
    {"select",
     [](Interpreter& in, const Value& v, Arguments& a) { return Choose(in, v, a, false, true); }},
    {"selectattr",
     [](Interpreter& in, const Value& v, Arguments& a) { return Choose(in, v, a, true, true); }},
    {"slice", SliceFilter},
    {"sort", Sort},
    {"sum", Sum},
    {"unique", Unique},
};

}  // namespace

std::span<const FilterEntry> SequenceFilters() { return kFilters; }

}  // namespace awq::jinja
