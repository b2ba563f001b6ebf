// Parser: tokens to a syntax tree, by Jinja's grammar.
#pragma once

#include <string_view>

#include "awq/text/jinja/ast.h"

namespace awq::jinja {

// A template in valid UTF-8. Nesting is bounded. Throws SyntaxError.
Template Parse(std::string_view source);

}  // namespace awq::jinja
