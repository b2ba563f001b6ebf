// Causal attention over the paged cache (FlashAttention-2, arXiv:2307.08691; split over keys for
// few queries: Flash-Decoding).
#pragma once

#include <cstdint>

#include "awq/backend/cuda/attention_plan.h"
#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/launch.h"
#include "awq/ops/args.h"

namespace awq::cuda {

// Bytes of device memory that the call below needs beside its arguments.
int64_t AttentionWorkspace(const DeviceLimits& device, const AttentionArgs& args,
                           const Batch& batch, const TensorView& q, const PagedKv& cache,
                           int short_rows);
// Of `counters`, which are zero before and after.
inline int64_t AttentionCounters(const Batch& batch, const PagedKv& cache) {
  return batch.num_seqs() * cache.kv_heads() + 1;
}
// As Backend::Attention. short_rows: kShortRows, or 0: then nothing is split, and a row's sums do
// not depend on its batch. F16 and BF16 with heads of up to 256 elements, a multiple of 8 (of 16
// with a cache of E4M3), run on tensor cores; everything else on a plain kernel.
void Attention(const Queue& queue, const DeviceLimits& device, const AttentionArgs& args,
               const Batch& batch, const TensorView& q, const PagedKv& cache, const TensorView& y,
               int short_rows, void* workspace, int* counters);

}  // namespace awq::cuda
