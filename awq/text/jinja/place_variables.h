// Places of variables: what every name of a template refers to, decided before it runs, as Jinja
// decides it. A name belongs to the innermost block that sets it anywhere or, where none does, to
// the outermost that reads it. Until a block sets its variable, that is the one of the blocks
// around it, or the context's if the block reads it before or sets it under an `if` only, or
// undefined.
#pragma once

#include "awq/text/jinja/ast.h"

namespace awq::jinja {

// Throws SyntaxError where Jinja cannot compile.
void PlaceVariables(Template& t);

}  // namespace awq::jinja
