// The 8-bit linear of one or two rows of x by integer tensor cores (integer.cuh).
#pragma once

#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/packed.h"
#include "awq/base/tensor.h"

namespace awq::cuda {

// Whether IntegerQ8 takes it, and is faster than DirectQ8: 16-bit x, a weight of many rows.
bool PrefersIntegerQ8(const Q8Weight& w, const TensorView& x, const TensorView& y,
                      const DeviceLimits& device);

// y[M, N] = x[M, K] · Wᵀ + bias[N].
void IntegerQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
               const TensorView& x, const TensorView& bias, const TensorView& y);

}  // namespace awq::cuda
