// Interpreter: renders a syntax tree. One for each rendering; bounded in steps, depth and memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "awq/text/jinja/ast.h"
#include "awq/text/jinja/value.h"

namespace awq::jinja {

class Interpreter {
 public:
  // `context`: the variables of the template.
  explicit Interpreter(const Dict& context);

  // Throws EvalError; position() tells where.
  std::string Render(const Body& body);
  const Position& position() const { return at_; }

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
  // Functions of an object refer to it and may be kept longer than it is.
  void Keep(std::shared_ptr<const Object> object) { objects_.push_back(std::move(object)); }

 private:
  struct Scope {
    Scope* parent;
    std::vector<std::pair<std::string, Value>> variables;
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
  Flow RunFor(const Statement& s, const Value& iterable, int depth);
  std::string Capture(const Body& body, Scope* parent, Flow& flow);
  Value MakeMacro(const Macro& macro);
  std::string CallMacro(const Macro& macro, Scope* closure, Arguments& arguments);
  void SetSpecialParameters(const Macro& macro, Arguments& arguments);
  void CallBlock(const Statement& s);
  void Assign(const Expression& target, const Value& value);
  void Set(std::string_view name, Value value);
  const Value* Find(std::string_view name) const;
  Scope* NewScope(Scope* parent);

  // expressions (evaluate.cc)
  Value Evaluate(const Expression& e);
  Value EvaluateNode(const Expression& e);
  Value Binary(const Expression& e);
  Value Compare(const Expression& e);
  Value Slice(const Value& object, const Expression& slice, bool is_constant);
  Value CallExpression(const Expression& e, const Value* caller);
  Arguments EvaluateArguments(const std::vector<Argument>& arguments);
  Value Filter(const Expression& e, const Value& input);

  std::vector<std::unique_ptr<Scope>> scopes_;  // all of them: macros may outlive their block
  std::vector<std::shared_ptr<const Object>> objects_;
  Scope* scope_;
  std::string* out_ = nullptr;
  Position at_;
  int64_t steps_ = 0;
  int64_t work_ = 0;
  size_t bytes_ = 0;
  int depth_ = 0;
};

}  // namespace awq::jinja
