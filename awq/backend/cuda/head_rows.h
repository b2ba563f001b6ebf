// A weight a head on tensor cores, for few tokens: each weight is read once for up to 64 of them.
#pragma once

#include "awq/backend/cuda/experts.h"

namespace awq::cuda {

// Dense weights of x's 16-bit type, all of which 16-byte loads can read.
bool SupportsHeadRows(const Stack& w, const TensorView& x, int arch);
// y[t, h] = x[t, h] · W_hᵀ, x [T, H, K] and y [T, H, N]. A token's sums do not depend on the
// others.
void HeadRowsLinear(const Queue& queue, const Stack& w, const TensorView& x, const TensorView& y);

}  // namespace awq::cuda
