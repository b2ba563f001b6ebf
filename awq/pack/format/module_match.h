// How compressed-tensors selects modules: the entries of its `targets` and `ignore` lists.
#pragma once

#include <string_view>

#include "awq/base/json.h"

namespace awq {

// Whether an entry selects the linear with that module path: its class ("Linear"), its exact path,
// or "re:<pattern>", a Perl-style pattern that must match from the start of the path. Throws
// kCorrupt for anything but an array of strings, and for a bad pattern.
bool SelectsLinear(const Json& list, std::string_view linear);

}  // namespace awq
