// Version: which awq.cpp this is.
#pragma once

#include <string_view>

namespace awq {

// Both are static storage, safe from any thread.
// "major.minor.patch".
std::string_view Version();
// Of the sources and the compiler: what differs between two programs of one version. Checkpoints do
// not hold it.
std::string_view BuildId();

}  // namespace awq
