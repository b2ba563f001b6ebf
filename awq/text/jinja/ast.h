// The syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "awq/text/jinja/lexer.h"
#include "awq/text/jinja/value.h"

namespace awq::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

// Arguments of calls, filters and tests, in the order written.
struct Argument {
  enum Kind { kPositional, kNamed, kSpreadList, kSpreadDict };
  Kind kind = kPositional;
  std::string name;
  ExpressionPtr value;
};

struct Expression {
  enum Kind {
    kConstant,   // value
    kName,       // name
    kList,       // operands
    kTuple,      // operands
    kDict,       // operands: key, value, key, …
    kUnary,      // name: - + not; operands: 1
    kBinary,     // name: + - * / // % ** and or; operands: 2
    kConcat,     // operands
    kCompare,    // operands: n; names: the n - 1 operators between them
    kCondition,  // operands: test, then, else or null
    kAttribute,  // operands: object; name
    kItem,       // operands: object, index
    kSlice,      // operands: begin, end, step, null where absent
    kCall,       // operands: function; arguments
    kFilter,     // operands: input or null (of a filter block); name; arguments
    kTest,       // operands: input; name; arguments
  };
  Kind kind = kConstant;
  Position at;
  Value value;
  std::string name;
  std::vector<std::string> names;
  std::vector<ExpressionPtr> operands;
  std::vector<Argument> arguments;
  int depth = 1;  // of this tree
};

struct Statement;
using Body = std::vector<Statement>;

struct Parameter {
  std::string name;
  ExpressionPtr otherwise;  // null when it must be given
};

struct Macro {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct Statement {
  enum Kind {
    kText,       // text
    kPrint,      // expression
    kFor,        // target in expression, filter may be null; body; otherwise
    kIf,         // tests; branches, one more when there is an else
    kSet,        // target = expression
    kSetBlock,   // target = body, through `expression` (filters) when not null
    kMacro,      // macro
    kCallBlock,  // expression is the call, macro the caller
    kFilter,     // body through expression
    kWith,       // names of the target = tests; body
    kScope,      // body alone: generation blocks
    kBreak,
    kContinue,
  };
  Kind kind = kText;
  Position at;
  std::string text;
  ExpressionPtr target, expression, filter;
  std::vector<ExpressionPtr> tests;
  std::vector<ExpressionPtr> targets;
  std::vector<Body> branches;
  Body body, otherwise;
  std::unique_ptr<Macro> macro;
  bool recursive = false;
};

}  // namespace awq::jinja
