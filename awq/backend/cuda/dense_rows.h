// The dense linear for few rows of x: a warp or some an output, weights and x of any float types. A
// row's sums do not depend on how many rows there are.
#pragma once

#include "awq/backend/cuda/launch.h"
#include "awq/base/tensor.h"

namespace awq::cuda {

inline constexpr int kMaxDenseRows = 4;  // in one pass over the weights

// Whether it is faster than a matrix product: few rows, or some of a weight of few outputs and not
// few inputs; K and strides multiples of 8, aligned addresses.
bool PrefersDenseRows(const TensorView& w, const TensorView& x);
// y[M, N] = x[M, K] · w[N, K]ᵀ + bias[N]; f32 sums. early: no kernel makes w.
void DenseRows(const Queue& queue, const TensorView& w, const TensorView& x, const TensorView& bias,
               const TensorView& y, bool early);

}  // namespace awq::cuda
