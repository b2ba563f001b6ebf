// Latent attention (MLA). Arguments have passed the checks of ops/checks.h; asynchronous.
#pragma once

#include "awq/backend/cuda/launch.h"
#include "awq/ops/args.h"

namespace awq::cuda {

void MlaAttention(const Queue& queue, const AttentionArgs& args, const Batch& batch,
                  const TensorView& q_latent, const TensorView& q_rope, const PagedKv& cache,
                  const TensorView& y, int most_tokens);

}  // namespace awq::cuda
