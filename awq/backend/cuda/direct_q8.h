// The 8-bit linear for few rows of x.
#pragma once

#include "awq/backend/cuda/direct_q4.h"
#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/packed.h"
#include "awq/base/tensor.h"

namespace awq::cuda {

// From more rows on products of floats are faster.
inline constexpr int64_t kMaxDirectQ8Rows = 256;

// Whether the 8-bit kernels can read x, of 16 bits, and write y.
bool IsReadableQ8(const TensorView& x, const TensorView& y);

// Whether DirectQ8 takes it: 16-bit x, K a multiple of 16. A row's sums do not depend on how many
// rows there are.
bool SupportsDirectQ8(const Q8Weight& w, const TensorView& x, const TensorView& y,
                      const DeviceLimits& device);

// y[M, N] = x[M, K] · Wᵀ + bias[N].
void DirectQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
              const TensorView& x, const TensorView& bias, const TensorView& y);

}  // namespace awq::cuda
