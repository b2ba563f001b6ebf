// Checks the names of filters and tests before anything is rendered, as Jinja does.
#pragma once

#include "awq/text/jinja/ast.h"

namespace awq::jinja {

// Throws SyntaxError for an unknown name, unless it stands under an `if` of its scope, where it is
// an error only when it is reached.
void CheckNames(const Body& body);

}  // namespace awq::jinja
