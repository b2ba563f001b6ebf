// First use: whether a piece of template takes the value of a name before it gives it one.
#pragma once

#include <string_view>

#include "awq/text/jinja/ast.h"

namespace awq::jinja {

// In the order of the source, blocks and macros inside included. Jinja decides by this which
// special variables (caller, varargs, kwargs, loop, self) there are.
bool ReadsFirst(const Body& body, std::string_view name);

}  // namespace awq::jinja
