// The interpreter's loops.
#include <optional>

#include "awq/text/jinja/builtins.h"
#include "awq/text/jinja/interpreter.h"

namespace awq::jinja {
namespace {

// What the names of a target hold, in its shape.
template <typename At>
Value TakeBack(const Expression& target, At at) {
  if (target.kind == Expression::kName) return at(target.place);
  std::vector<Value> items;
  for (const ExpressionPtr& o : target.operands) items.push_back(TakeBack(*o, at));
  return Value::MakeList(std::move(items), true);
}

}  // namespace

// Those items of `source` that pass the loop's filter, which runs when the next one is asked for.
Source Interpreter::Filtered(const Statement& s, Source source) {
  auto frame = std::make_shared<Frame>();
  frame->outer = frame_;
  bool begun = false;
  return [this, &s, source = std::move(source), frame, begun]() mutable -> std::optional<Value> {
    Frame* caller = std::exchange(frame_, frame.get());
    if (!std::exchange(begun, true)) {
      Spend(s.filter_places);
      frame->places.resize(static_cast<size_t>(s.filter_places));
      Begin(s.filter_variables);
    }
    std::optional<Value> out;
    while (!out.has_value()) {
      const std::optional<Value> item = source();
      if (!item.has_value()) break;
      Assign(*s.filter_target, *item);
      if (Truthy(Evaluate(*s.filter)))
        out = TakeBack(*s.filter_target, [this](const Place& place) { return At(place); });
    }
    frame_ = caller;
    return out;
  };
}

// loop(…) of a recursive loop; `depth` is that of the loop that it starts.
Value Interpreter::LoopCall(const Statement& s, int depth) {
  return MakeFunction("loop", [this, &s, depth, outer = frame_](Interpreter&, Arguments& a) {
    if (a.positional.size() != 1 || !a.named.empty()) Raise("loop() takes one argument");
    Capture capture(*this);
    RunFor(s, a.positional[0], depth, outer);
    return Value(std::move(capture.text));
  });
}

Interpreter::Flow Interpreter::RunFor(const Statement& s, const Value& iterable, int depth,
                                      Frame* outer) {
  const Depth nesting(*this);
  Frame* caller = std::exchange(frame_, outer);
  int64_t length = 0;
  Source source = ItemsOf(iterable, length);
  if (iterable.AsList() == nullptr) Charge(static_cast<size_t>(length) * sizeof(Value));
  if (s.filter != nullptr) {
    source = Filtered(s, std::move(source));
    length = -1;
  }
  const auto loop = std::make_shared<Loop>(std::move(source), length, depth);
  if (s.loop >= 0) Keep(loop);
  std::optional<Running> running;
  if (s.recursive) {
    KeepFrame();
    loop->attributes.emplace_back("", LoopCall(s, depth + 1));  // its call, see Call()
    running.emplace(*this, outer, s.places);
  }
  // Jinja takes a loop as empty until the end of its body is reached once.
  bool completed = false;
  if (s.loop >= 0) At({0, s.loop}) = Value();
  while (const Value* item = loop->Next()) {
    Assign(*s.target, *item);
    if (s.loop >= 0) At({0, s.loop}) = Value(loop);
    Begin(s.variables);
    const Flow flow = Run(s.body);
    if (flow == Flow::kBreak) break;
    completed = completed || flow == Flow::kNormal;
  }
  Flow flow = Flow::kNormal;
  if (!s.recursive || !s.otherwise.empty()) End(s.variables);
  if (!completed && !s.otherwise.empty()) {
    Begin(s.otherwise_variables);
    flow = Run(s.otherwise);
    if (flow == Flow::kNormal) End(s.otherwise_variables);
  }
  running.reset();
  frame_ = caller;
  return flow;
}

}  // namespace awq::jinja
