// The 8-bit linear for many rows of x on sm_90a (wide_linear.cuh).
#pragma once

#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/packed.h"
#include "awq/backend/cuda/wide_launch.h"
#include "awq/base/tensor.h"

namespace awq::cuda {

// Whether it can, and is faster than other ways.
bool PrefersWideQ8(const Q8Weight& w, const TensorView& x, const TensorView& y,
                   const DeviceLimits& device);

// y[M, N] = x[M, K] · Wᵀ + bias[N]. Weights are rounded to the type of x before they are
// multiplied.
void WideLinearQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
                  const TensorView& x, const TensorView& bias, const TensorView& y);

}  // namespace awq::cuda
