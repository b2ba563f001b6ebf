// How the kernel of fused_layers.cuh shares out thread blocks and shared memory.
#pragma once

#include <optional>

#include "awq/backend/cuda/fused_args.h"

namespace awq::cuda {

struct FusedShape {
  int num_layers = 0;
  int hidden = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_size = 0;
  int ffn = 0;          // of all chosen experts
  int experts = 0;      // routed; 0: none
  int active = 0;       // of these, those of a token
  int block_bytes = 0;  // of the layout of weights
  bool has_zeros = false;
  bool sandwich = false;  // FusedSandwich
  bool operator==(const FusedShape&) const = default;
};

struct FusedPlan {
  int blocks = 1;       // of threads, one an SM: each has a row tile of every linear
  int groups = 1;       // of query heads: those of a kv head, or a part of them
  int group_heads = 1;  // of the largest
  int splits = 1;       // thread blocks that share the keys of a group
  FusedShared shared;
};

// None where a size does not suit the kernel, or its ring would be too short to gain anything.
std::optional<FusedPlan> PlanFused(const FusedShape& shape, int sms, int shared_per_block);

}  // namespace awq::cuda
