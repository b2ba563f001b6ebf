// Products with a dense weight a head, by cuBLASLt: all heads in one call where their weights lie
// evenly apart.
#pragma once

#include "awq/backend/cuda/blas.h"
#include "awq/backend/cuda/experts.h"

namespace awq::cuda {

struct HeadSpan {
  int64_t first, count;
};

// y_h[T, N] = x_h · W_hᵀ, or x_h · W_h without transpose_w, of heads in `span`; x and y are the
// first one's, the others' lie so many elements further on.
void MultiplyHeads(Blas& blas, const Stack& w, const HeadSpan& span, bool transpose_w,
                   const TensorView& x, int64_t x_apart, const TensorView& y, int64_t y_apart);

}  // namespace awq::cuda
