// Quality page: internal to api; a passport as one HTML file that needs nothing else.
#pragma once

#include <string>

#include "awq/base/json.h"

namespace awq {

// `passport`: what MakePassport returns, "output" added or not. Every text in it is escaped.
std::string QualityPage(const RawJson& passport);

}  // namespace awq
