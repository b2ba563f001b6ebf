// The only place that names concrete backends.
#pragma once

#include <memory>
#include <string_view>

#include "awq/ops/backend.h"

namespace awq {

// name: "cpu", "ref", "cuda" or "auto" (cuda when the program has it and finds a device, else cpu,
// whose Info().device says why where there is a driver).
// threads: 0 for all cores this process may use. deterministic: what a call of inference writes to
// a row depends on what that row reads alone, to the last bit, however many rows there are beside
// it and however they are cut into calls; slower. Throws kInvalidArgument listing the names,
// kUnsupported when the program was built without that backend, kDevice when the device does not
// answer.
std::unique_ptr<Backend> MakeBackend(std::string_view name, int threads = 0,
                                     bool deterministic = false);

}  // namespace awq
