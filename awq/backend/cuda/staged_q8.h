// The 8-bit linear for many rows of x by mma.sync (staged_linear.cuh).
#pragma once

#include "awq/backend/cuda/staged_launch.h"
#include "awq/backend/cuda/stream.h"

namespace awq::cuda {

// Whether it can, and is faster than other ways.
bool PrefersStagedQ8(const Q8Weight& w, const TensorView& x, const TensorView& y,
                     const DeviceLimits& device);

// As WideLinearQ8: scales count as f16 of the largest of the weight, so that rows whose scales are
// below 2^-14 of it lose digits. workspace: zeroed when it is new, of linears of this stream alone.
void StagedLinearQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
                    const TensorView& x, const TensorView& bias, const TensorView& y,
                    GrowingBuffer& workspace);

}  // namespace awq::cuda
