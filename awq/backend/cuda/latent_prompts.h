// Latent attention of prompts: the keys and values of each head are built from the latent vectors,
// (K + V)ᵀ of kv_b, as in training, since many rows then share them: a row and a key cost 320
// multiplications of a head instead of the 1088 of the latent vectors themselves. For sm_90a.
//
// bound   tensor cores, as attention_wgmma.cuh
#pragma once

#include "awq/backend/cuda/blas.h"
#include "awq/backend/cuda/device_limits.h"
#include "awq/backend/cuda/experts.h"

namespace awq::cuda {

// A call of Backend::MlaHeads.
struct LatentCall {
  const AttentionArgs& args;
  const Batch& batch;
  const Stack& keys;
  const Stack& values;
  const TensorView& q_nope;
  const TensorView& q_rope;
  const PagedKv& cache;
  const TensorView& y;
};

// Sequences with more tokens in a step are prompts.
inline constexpr int kMostLatentTokens = 64;

struct LatentPromptPlan {
  int64_t prompts = 0;  // 0: none, or not here
  int64_t others = 0;   // sequences with tokens that are none
  int64_t rows = 0;     // of keys of all prompts, of each in whole tiles
  int64_t items = 0;    // row tiles of all prompts, of a head
  int64_t heads = 0;    // whose keys and values are in memory at a time
  int64_t Bytes(int64_t size, int64_t sequences) const;
};
LatentPromptPlan PlanLatentPrompts(const LatentCall& call, const DeviceLimits& device);

// y of prompts alone. workspace: plan.Bytes(); counters: heads · sequences + 1 of 0, and so again.
void LatentPrompts(const Queue& queue, const DeviceLimits& device, Blas& blas,
                   const LatentPromptPlan& plan, const LatentCall& call, void* workspace,
                   int* counters);

}  // namespace awq::cuda
