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

Interpreter::Interpreter(const Dict& context) : context_(context), globals_(GlobalFunctions()) {}

std::string Interpreter::Render(const Template& t) {
  std::string out;
  out_ = &out;
  const Running running(*this, nullptr, t.places);
  if (t.self >= 0) {
    const auto self = std::make_shared<Object>();
    self->kind = "TemplateReference";
    At({0, t.self}) = Value(self);
  }
  Begin(t.variables);
  Run(t.body);
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

void Interpreter::Spend(const Value& v) { Spend(v.Weight()); }

void Interpreter::Spend(int64_t units) {
  work_ += units;
  if (work_ > kMaxWork) Raise("limit: the template runs for too long");
}

void Interpreter::Print(const std::string& text) {
  Charge(text.size());
  *out_ += text;
}

Value Interpreter::Variable(std::string_view name) const {
  if (const Value* v = context_.FindName(name)) return *v;
  const auto it = globals_.find(name);
  return it == globals_.end() ? Value() : it->second;
}

Value& Interpreter::At(const Place& place) {
  Frame* frame = frame_;
  for (int i = 0; i < place.hops; ++i) frame = frame->outer;
  return frame->places[static_cast<size_t>(place.index)];
}

void Interpreter::Begin(const Variables& variables) {
  using Beginning = Variables::Beginning;
  Spend(static_cast<int64_t>(variables.beginnings.size()));
  for (const Beginning& b : variables.beginnings) {
    At({0, b.index}) = b.kind == Beginning::kContext ? Variable(b.name)
                       : b.kind == Beginning::kCopy  ? At(b.from)
                                                     : Value();
  }
}

void Interpreter::End(const Variables& variables) {
  for (int index : variables.ends) At({0, index}) = Value();
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
  switch (s.kind) {
    case Statement::kText:
      Print(s.text);
      break;
    case Statement::kPrint:
      Print(ToString(Printed(Evaluate(*s.expression))));
      break;
    case Statement::kFor:
      return RunFor(s, Evaluate(*s.expression), 1, frame_);
    case Statement::kIf:
      return RunIf(s);
    case Statement::kSet:
      Assign(*s.target, Evaluate(*s.expression));
      break;
    case Statement::kMacro:
      Assign(*s.target, MakeMacro(*s.macro));
      break;
    case Statement::kCallBlock:
      CallBlock(s);
      break;
    case Statement::kSetBlock:
    case Statement::kFilter: {
      Value value;
      const Flow flow = RunFiltered(s, value);
      if (flow != Flow::kNormal) return flow;
      if (s.kind == Statement::kSetBlock)
        Assign(*s.target, value);
      else if (value.String() != nullptr)
        Print(*value.String());
      else
        Raise("a filter block gave " + TypeName(value) + " instead of str");
      End(s.variables);
      break;
    }
    case Statement::kWith:
      return RunWith(s);
    case Statement::kScope: {
      Arguments none;
      Print(CallMacro(*s.macro, frame_, none));
      break;
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

Interpreter::Flow Interpreter::RunWith(const Statement& s) {
  Begin(s.variables);
  for (size_t i = 0; i < s.tests.size(); ++i) Assign(*s.targets[i], Evaluate(*s.tests[i]));
  const Flow flow = Run(s.body);
  if (flow == Flow::kNormal) End(s.variables);
  return flow;
}

Interpreter::Flow Interpreter::RunFiltered(const Statement& s, Value& out) {
  Begin(s.variables);
  Flow flow = Flow::kNormal;
  {
    Capture capture(*this);
    flow = Run(s.body);
    out = Value(std::move(capture.text));
  }
  if (flow == Flow::kNormal && s.expression != nullptr) out = Filter(*s.expression, out);
  return flow;
}

void Interpreter::Assign(const Expression& target, const Value& value) {
  if (target.kind == Expression::kName) {
    At(target.place) = value;
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

}  // namespace awq::jinja
