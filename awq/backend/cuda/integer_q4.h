// The W4 linear of one or two rows of x by integer tensor cores (integer_q4.cuh).
#pragma once

#include "awq/backend/cuda/direct_q4.h"

namespace awq::cuda {

inline constexpr int kMaxIntegerRows = 2;

struct IntegerArgs : DirectArgs {
  int tiles;          // row tiles of a thread block
  int longer_blocks;  // the first ones have one more
};

bool SupportsInteger(const LinearQ4& problem, const DeviceLimits& device);
// Whether the weight is large enough to be worth the digits of x, which every thread block makes.
bool WorthInteger(const LinearQ4& problem, const DeviceLimits& device);
// Throws kDevice. Asynchronous.
void LaunchInteger(const LinearQ4& problem, const DeviceLimits& device,
                   const LaunchContext& context);

}  // namespace awq::cuda
