// Markup, as the filters escape and safe give it: a str that escapes for HTML what joins it.
#pragma once

#include <string>
#include <string_view>

#include "awq/text/jinja/value.h"

namespace awq::jinja {

std::string EscapeHtml(std::string_view text);
// The text of a value, escaped unless it is Markup.
std::string Escaped(const Value& v);
// `text` as what `model` is: Markup, or a str.
Value Like(const Value& model, std::string text);
// Markup of a text, and of the texts in a list; anything else as it is.
Value Marked(const Value& v);
// The arguments of a method of Markup, of which some are escaped.
Arguments EscapeArguments(std::string_view method, const Arguments& arguments);

}  // namespace awq::jinja
