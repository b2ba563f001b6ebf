// Interpreter: renders a syntax tree. One for each rendering; bounded in steps, depth and memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "awq/text/jinja/ast.h"
#include "awq/text/jinja/loop.h"
#include "awq/text/jinja/value.h"

namespace awq::jinja {

class Interpreter {
 public:
  // `context`: the variables of the template; outlives this.
  explicit Interpreter(const Dict& context);

  // Throws EvalError; position() tells where.
  std::string Render(const Template& t);
  const Position& position() const { return at_; }

  Value Evaluate(const Expression& e);  // of Render, or of constants alone

  // For built-in functions.
  Value Call(const Value& function, Arguments& arguments);
  Value ApplyFilter(std::string_view name, const Value& input, Arguments& arguments);
  bool ApplyTest(std::string_view name, const Value& input, Arguments& arguments);
  Value Attribute(const Value& object, std::string_view name);
  Value Item(const Value& object, const Value& index);
  // Counts what a rendering has made; throws when it is too much.
  void Charge(size_t bytes);
  // Counts what a step walks through; throws when it is too much.
  void Spend(const Value& v);
  const Value& Printed(const Value& v);
  // Counts as many steps through values.
  void Spend(int64_t units);
  // Functions of an object refer to it and may be kept longer than it is.
  void Keep(std::shared_ptr<const Object> object) { objects_.push_back(std::move(object)); }

 private:
  // The variables of a function that runs. A place that holds an undefined value without a message
  // is one whose variable was never set.
  struct Frame {
    Frame* outer;
    std::vector<Value> places;
    bool kept = false;  // a macro or loop refers to it and may be called once its function is over
  };
  // A function, while it runs.
  class Running {
   public:
    Running(Interpreter& i, Frame* outer, int places);
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    Interpreter& i_;
    std::unique_ptr<Frame> frame_;
    Frame* caller_;
  };
  // What is written, kept apart while this lives.
  class Capture {
   public:
    explicit Capture(Interpreter& i) : i_(i), out_(std::exchange(i.out_, &text)) {}
    ~Capture() { i_.out_ = out_; }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    std::string text;

   private:
    Interpreter& i_;
    std::string* out_;
  };
  enum class Flow { kNormal, kBreak, kContinue };
  // Counts a step, and a level of calls while it lives; throws when there are too many.
  class Depth {
   public:
    explicit Depth(Interpreter& i);
    ~Depth() { --i_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    Interpreter& i_;
  };

  // statements (interpreter.cc)
  Flow Run(const Body& body);
  Flow Run(const Statement& s);
  Flow RunIf(const Statement& s);
  Flow RunWith(const Statement& s);
  // Of the body of a set or filter block, with its filters applied.
  Flow RunFiltered(const Statement& s, Value& out);
  // functions (calls.cc)
  void KeepFrame();
  Value MakeMacro(const Macro& macro);
  std::string CallMacro(const Macro& macro, Frame* closure, Arguments& arguments);
  std::vector<bool> SetParameters(const Macro& macro, Arguments& arguments);
  void SetSpecialParameters(const Macro& macro, Arguments& arguments);
  void CallBlock(const Statement& s);
  // loops (for_loop.cc)
  Flow RunFor(const Statement& s, const Value& iterable, int depth, Frame* outer);
  Source Filtered(const Statement& s, Source source);
  Value LoopCall(const Statement& s, int depth);

  // variables
  void Print(const std::string& text);
  void Begin(const Variables& variables);
  void End(const Variables& variables);
  Value& At(const Place& place);
  void Assign(const Expression& target, const Value& value);
  Value Variable(std::string_view name) const;

  // expressions (evaluate.cc)
  Value EvaluateNode(const Expression& e);
  Value Binary(const Expression& e);
  Value Compare(const Expression& e);
  Value Slice(const Value& object, const Expression& slice, bool is_constant);
  Value CallExpression(const Expression& e, const Value* caller);
  Arguments EvaluateArguments(const std::vector<Argument>& arguments);
  Value Filter(const Expression& e, const Value& input);

  const Dict& context_;
  std::unordered_map<std::string_view, Value> globals_;
  std::vector<std::unique_ptr<Frame>> kept_;
  std::vector<std::shared_ptr<const Object>> objects_;
  Frame* frame_ = nullptr;
  std::string* out_ = nullptr;
  Position at_;
  int64_t steps_ = 0;
  int64_t work_ = 0;
  size_t bytes_ = 0;
  int depth_ = 0;
};

}  // namespace awq::jinja
