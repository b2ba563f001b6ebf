// Latent attention on tensor cores (latent_tiles.cuh): latent vectors of 512 elements with 64 of
// rotated keys, as DeepSeek V2 and V3 have, over caches of 16 bits and of E4M3.
#pragma once

#include <cstdint>

#include "awq/backend/cuda/device_limits.h"
#include "awq/backend/cuda/launch.h"
#include "awq/ops/args.h"

namespace awq::cuda {

inline constexpr int kMostLatentParts = 128;

struct LatentTilesArgs {
  float scale;  // times log2(e)
  const int* seq_start;
  const int* kv_len;
  const int* table;
  int64_t table_stride;
  int sequences, page_shift, heads;
  int most_tokens;  // sequences with more are left out
  int alike;        // tiles of rows of each sequence, where all have as many; 0: they differ
  const void* q_latent;
  int64_t q_stride;
  const void* q_rope;
  int64_t rope_stride;
  const void* keys;
  void* y;
  int64_t y_stride;
  int parts;
  float* partial;  // [item][part][kRows][kRank]
  float2* stats;   // [item][part][kRows]: max, sum
  int* met;        // [item], 0 before and after
};

bool SupportsLatentTiles(const DeviceLimits& device, const TensorView& q_latent,
                         const TensorView& q_rope, const PagedKv& cache, const TensorView& y);

// How the rows of a batch are cut.
struct LatentPlan {
  int rows;                // of a thread block
  int64_t items;           // tiles of them
  int parts;               // of the keys of each, all of which run at once where there are several
  int stages;              // tiles of keys in shared memory
  int alike, most_tokens;  // LatentTilesArgs
};
LatentPlan PlanLatentTiles(const DeviceLimits& device, const Batch& batch, int64_t heads,
                           const PagedKv& cache, int most_tokens);

// workspace: of LatentTilesWorkspace bytes; counters: plan.items, of zeros.
int64_t LatentTilesWorkspace(const LatentPlan& plan);
void LatentTilesAttention(const Queue& queue, const LatentPlan& plan, const AttentionArgs& args,
                          const Batch& batch, const TensorView& q_latent, const TensorView& q_rope,
                          const PagedKv& cache, const TensorView& y, void* workspace,
                          int* counters);

}  // namespace awq::cuda
