// Which of the attention kernels run, and in which size; for one type of cache a source file.
#pragma once

#include <algorithm>
#include <type_traits>

#include "awq/backend/cuda/attention_long.cuh"
#include "awq/backend/cuda/attention_short.cuh"
#include "awq/backend/cuda/attention_tiles.cuh"
#include "awq/backend/cuda/attention_wgmma.cuh"
#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/tensor_map.h"
#include "awq/ops/args.h"

namespace awq::cuda {

struct AttentionRows {
  int64_t shortest = 0;  // most rows of a sequence of the short arrangement; 0: there are none
  int64_t longest = 0;   // of the others
  int64_t tiles = 0;     // of kWgmmaRows rows of the others, a kv head
};

template <typename T, typename C, int D, int kM>
void LaunchLong(const Queue& queue, const AttentionShape& shape, const Batch& batch, int64_t rows) {
  constexpr int kShared = kLongSharedBytes<C, D, kM>;
  void (*kernel)(AttentionShape) = LongAttention<T, C, D, kM>;
  AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  const dim3 grid(static_cast<unsigned>((rows + kLongRows<kM> - 1) / kLongRows<kM>),
                  static_cast<unsigned>(shape.kv_heads), static_cast<unsigned>(batch.num_seqs()));
  Launch(queue, kernel, grid, 32 * kAttentionWarps, kShared, shape);
}

template <typename T, typename C, int D>
void RunLong(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
             const Batch& batch, int64_t rows) {
  if constexpr (D <= 128) {
    if (kLongSharedBytes<C, D, 2> <= device.shared_per_block) {
      return LaunchLong<T, C, D, 2>(queue, shape, batch, rows);
    }
  }
  LaunchLong<T, C, D, 1>(queue, shape, batch, rows);
}

// Splits that can be a cluster (sm_90).
inline constexpr int kMostClustered = 16;

// A kernel of the sums of few rows, whose splits are a cluster where that has been measured.
template <typename K>
void LaunchSplits(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
                  const Batch& batch, K* kernel, int shared) {
  const auto splits = static_cast<unsigned>(shape.splits);
  const ShortPlan plan{.splits = shape.splits, .columns = shape.columns};
  const dim3 grid(1, static_cast<unsigned>(shape.kv_heads),
                  static_cast<unsigned>(plan.BlocksOfHead(batch.num_seqs())));
  const bool clustered = device.arch == 90 && shape.d <= 128 && shape.columns == 0 && splits > 1 &&
                         splits <= kMostClustered;
  if (shared > 0) {
    AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  }
  if (clustered) {
    AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  }
  LaunchClusters(queue, kernel, grid, dim3(1, 1, clustered ? splits : 1), 32 * kAttentionWarps,
                 shared, shape, clustered);
}

template <typename T, typename C, int D, bool kShares>
auto ShortKernel(bool whole, int64_t rows) {
  if constexpr (D <= 128) {
    if (rows > 8) {
      return whole ? ShortAttention<T, C, D, true, 16, kShares>
                   : ShortAttention<T, C, D, false, 16, kShares>;
    }
    if (whole) return ShortAttention<T, C, D, true, 8, kShares>;
  }
  return ShortAttention<T, C, D, false, 8, kShares>;
}

template <typename T, typename C, int D>
void RunShort(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
              const Batch& batch, int64_t rows) {
  if constexpr (D <= 128) {
    if (shape.tiles) {
      return LaunchSplits(queue, device, shape, batch,
                          rows > 8 ? TilesAttention<T, C, D, 16> : TilesAttention<T, C, D, 8>,
                          TilesSharedBytes(D, sizeof(C)));
    }
  }
  const bool whole = shape.d == D;
  LaunchSplits(queue, device, shape, batch,
               shape.columns > 0 ? ShortKernel<T, C, D, true>(whole, rows)
                                 : ShortKernel<T, C, D, false>(whole, rows),
               0);
}

template <typename T, typename C, int D>
void RunWgmma(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
              const PagedKv& cache, int64_t items) {
  constexpr int kShared = WgmmaSharedBytes<C, D>();
  void (*kernel)(AttentionShape, CUtensorMap, CUtensorMap, int) = WgmmaAttention<T, C, D>;
  AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  const auto map = [&](const TensorView& pages) {
    if (kIsE4m3<C>) return CUtensorMap{};  // which it copies without
    return SwizzledRowsMap(pages.data, pages.NumElements() / shape.d, shape.d, shape.d, kBoxKeys);
  };
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(device.sms, items));
  Launch(queue, kernel, dim3(blocks), kWgmmaThreads, kShared, shape, map(cache.keys),
         map(cache.values), static_cast<int>(items));
}

template <typename T, typename C>
void RunAttention(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
                  const PagedKv& cache, const Batch& batch, const AttentionRows& rows) {
  bool many = rows.longest > 0;
  constexpr int kLargest = kIsE4m3<C> ? 128 : 256;  // whose bytes would find no room beside tiles
  if (many && device.arch == 90 && shape.d <= kLargest) {
    const auto run = shape.d <= 64    ? RunWgmma<T, C, 64>
                     : shape.d <= 128 ? RunWgmma<T, C, 128>
                                      : RunWgmma<T, C, kLargest>;
    run(queue, device, shape, cache, rows.tiles * shape.kv_heads);
    many = false;
  }
  if (many) {
    // E4M3 is compiled for multiples of 32.
    constexpr int k80 = kIsE4m3<C> ? 96 : 80;
    constexpr int k112 = kIsE4m3<C> ? 128 : 112;
    const auto run = shape.d <= 64    ? RunLong<T, C, 64>
                     : shape.d <= 80  ? RunLong<T, C, k80>
                     : shape.d <= 96  ? RunLong<T, C, 96>
                     : shape.d <= 112 ? RunLong<T, C, k112>
                     : shape.d <= 128 ? RunLong<T, C, 128>
                     : shape.d <= 192 ? RunLong<T, C, 192>
                                      : RunLong<T, C, 256>;
    run(queue, device, shape, batch, rows.longest);
  }
  if (rows.shortest > 0) {
    const auto run = shape.d <= 64    ? RunShort<T, C, 64>
                     : shape.d <= 128 ? RunShort<T, C, 128>
                     : shape.d <= 192 ? RunShort<T, C, 192>
                                      : RunShort<T, C, 256>;
    run(queue, device, shape, batch, rows.shortest);
  }
}

// RunAttention for a cache of E4M3; q: F16 or BF16.
void RunE4m3Attention(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
                      const PagedKv& cache, const Batch& batch, const AttentionRows& rows, DType q);

}  // namespace awq::cuda
