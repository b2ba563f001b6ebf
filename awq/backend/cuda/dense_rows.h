// The dense linear for few rows of x: one warp an output, weights and x of any float types. A row's
// sums do not depend on how many rows there are.
#pragma once

#include "awq/backend/cuda/launch.h"
#include "awq/base/tensor.h"

namespace awq::cuda {

inline constexpr int64_t kMaxDenseRows = 4;  // in one pass over the weights

// Rows that 16-byte loads can read: K and strides multiples of 8, aligned addresses.
bool SupportsDenseRows(const TensorView& w, const TensorView& x);
// y[M, N] = x[M, K] · w[N, K]ᵀ + bias[N]; f32 sums.
void DenseRows(const Queue& queue, const TensorView& w, const TensorView& x, const TensorView& bias,
               const TensorView& y);

}  // namespace awq::cuda
