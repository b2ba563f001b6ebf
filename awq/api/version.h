// Version: which awq.cpp this is.
#pragma once

#include <string_view>

namespace awq {

// "major.minor.patch"; static storage, safe from any thread.
std::string_view Version();

}  // namespace awq
