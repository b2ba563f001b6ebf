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

// Where a variable is kept: a place of the function `hops` functions out of the present one. Filled
// in by PlaceVariables(), as is all that is said in places.
struct Place {
  int hops = 0;
  int index = -1;
  bool is_parameter = false;  // or a loop's: jinja2 takes it for set
};

// What a block does with its variables when it begins, and which are undefined once it has ended.
struct Variables {
  struct Beginning {
    enum Kind { kContext, kCopy, kUndefined };  // a variable of the context, or of a block around
    Kind kind = kUndefined;
    int index = -1;
    std::string name;
    Place from;
  };
  std::vector<Beginning> beginnings;
  std::vector<int> ends;
};

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
    kName,       // name, place
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
  Place place;
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
  int place = -1;
};

// A function of a template. What its body does not use of the last three has no place.
struct Macro {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  Variables variables;
  int places = 0;
  bool uses_caller = false;  // as a parameter of that name, or without one
  int caller = -1;
  int varargs = -1;
  int kwargs = -1;
};

struct Template {
  Body body;
  Variables variables;
  int places = 0;
  int self = -1;  // the variable `self`, where it is used
};

struct Statement {
  enum Kind {
    kText,       // text
    kPrint,      // expression
    kFor,        // target in expression, filter (of filter_target) may be null; body; otherwise
    kIf,         // tests; branches, one more when there is an else
    kSet,        // target = expression
    kSetBlock,   // target = body, through `expression` (filters) when not null
    kMacro,      // target = macro
    kCallBlock,  // expression is the call, macro the caller
    kFilter,     // body through expression
    kWith,       // names of the target = tests; body
    kScope,      // macro, called at once: generation blocks
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
  Variables variables;  // of the body
  // of loops
  bool recursive = false;  // the loop is a function with places of its own
  int places = 0;
  int loop = -1;  // the variable `loop`, where the body uses it
  Variables otherwise_variables;
  ExpressionPtr filter_target;  // the filter is a function
  Variables filter_variables;
  int filter_places = 0;
};

}  // namespace awq::jinja
