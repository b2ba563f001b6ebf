// The CUDA backend: one GPU, one stream, every call asynchronous.
#pragma once

#include <memory>

#include "awq/ops/backend.h"

namespace awq::cuda {

// On the current device; threads, of the host for what is done beside it, and deterministic: as
// MakeBackend says. Throws as ReadDeviceLimits does (device_limits.h).
std::unique_ptr<Backend> MakeCudaBackend(int threads = 0, bool deterministic = false);

}  // namespace awq::cuda
