// Loop: the variable `loop`, which also hands out what its loop goes over, one item at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string_view>

#include "awq/text/jinja/value.h"

namespace awq::jinja {

// Gives one item after another, then none.
using Source = std::function<std::optional<Value>()>;

// The items of something iterable, taken as they are asked for. `length`: how many, or -1 when that
// cannot be told before. Throws when it is nothing to go through.
Source ItemsOf(const Value& iterable, int64_t& length);

class Loop : public Object {
 public:
  // `length`: of all items, or negative; then it is found by taking them all when it is asked for.
  Loop(Source source, int64_t length, int depth);
  // Goes on to the next item; null at the end.
  const Value* Next();
  const Value* Find(std::string_view name) const override;  // lasts until the next call

 private:
  const Value* Peek() const;
  int64_t Length() const;
  Value Compute(std::string_view name) const;

  Source source_;
  int depth_;
  int64_t index_ = -1;
  std::optional<Value> item_, previous_;
  mutable int64_t length_;
  mutable std::deque<Value> ahead_;  // taken from the source before their turn
  mutable Value found_;
};

}  // namespace awq::jinja
