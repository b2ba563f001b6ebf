#include "awq/text/jinja/loop.h"

#include <utility>

#include "awq/text/jinja/builtins.h"

namespace awq::jinja {

Source ItemsOf(const Value& iterable, int64_t& length) {
  const List* list = iterable.AsList();
  if (list != nullptr && list->kind == List::kIterator) {
    length = -1;
    return [iterable, list]() -> std::optional<Value> {
      const Value* next = TakeNext(*list);
      return next == nullptr ? std::nullopt : std::optional<Value>(*next);
    };
  }
  Value items = list != nullptr ? iterable : Value::MakeList(Elements(iterable));
  list = items.AsList();
  length = static_cast<int64_t>(list->items.size());
  return [items = std::move(items), list, at = size_t{0}]() mutable -> std::optional<Value> {
    return at < list->items.size() ? std::optional<Value>(list->items[at++]) : std::nullopt;
  };
}

Loop::Loop(Source source, int64_t length, int depth)
    : source_(std::move(source)), depth_(depth), length_(length) {
  kind = "loop";
  attributes.emplace_back("cycle", MakeFunction("cycle", [this](Interpreter&, Arguments& a) {
                            if (a.positional.empty()) Raise("no items for cycling given");
                            return a.positional[static_cast<size_t>(index_) % a.positional.size()];
                          }));
  auto last = std::make_shared<std::optional<Value>>();
  attributes.emplace_back("changed", MakeFunction("changed", [last](Interpreter&, Arguments& a) {
                            Value now = Value::MakeList(a.positional, true);
                            if (now.HoldsObject()) Raise("unsupported: an object in loop.changed");
                            const bool changed = !last->has_value() || !Equal(**last, now);
                            *last = std::move(now);
                            return Value(changed);
                          }));
}

const Value* Loop::Next() {
  const Value* next = Peek();
  if (next == nullptr) return nullptr;
  previous_ = std::exchange(item_, *next);
  ahead_.pop_front();
  ++index_;
  return &*item_;
}

const Value* Loop::Peek() const {
  if (ahead_.empty()) {
    std::optional<Value> next = source_();
    if (!next.has_value()) return nullptr;
    ahead_.push_back(std::move(*next));
  }
  return &ahead_.front();
}

int64_t Loop::Length() const {
  if (length_ < 0) {
    while (std::optional<Value> next = source_()) ahead_.push_back(std::move(*next));
    length_ = index_ + 1 + static_cast<int64_t>(ahead_.size());
  }
  return length_;
}

const Value* Loop::Find(std::string_view name) const {
  static constexpr std::string_view kComputed[] = {"index",    "index0", "revindex", "revindex0",
                                                   "first",    "last",   "length",   "previtem",
                                                   "nextitem", "depth",  "depth0"};
  for (std::string_view known : kComputed) {
    if (name == known) {
      found_ = Compute(name);
      return &found_;
    }
  }
  return Object::Find(name);
}

Value Loop::Compute(std::string_view name) const {
  if (name == "index") return Value(index_ + 1);
  if (name == "index0") return Value(index_);
  if (name == "revindex") return Value(Length() - index_);
  if (name == "revindex0") return Value(Length() - index_ - 1);
  if (name == "first") return Value(index_ == 0);
  if (name == "last") return Value(Peek() == nullptr);
  if (name == "length") return Value(Length());
  if (name == "depth") return Value(static_cast<int64_t>(depth_));
  if (name == "depth0") return Value(static_cast<int64_t>(depth_ - 1));
  if (name == "previtem")
    return index_ == 0 ? Value::MakeUndefined("there is no previous item") : *previous_;
  const Value* next = Peek();
  return next == nullptr ? Value::MakeUndefined("there is no next item") : *next;
}

}  // namespace awq::jinja
