// The W4 linear of one or two rows of x by integer tensor cores (integer.cuh).
#pragma once

#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

bool SupportsIntegerQ4(const LinearQ4& problem, const DeviceLimits& device);
// Whether the weight is large enough to be worth the digits of x, which every thread block makes.
bool WorthIntegerQ4(const LinearQ4& problem, const DeviceLimits& device);
// Throws kDevice. Asynchronous.
void LaunchIntegerQ4(const LinearQ4& problem, const DeviceLimits& device,
                     const LaunchContext& context);

}  // namespace awq::cuda
