// Which of the two attention kernels run, and in which size; for one type of cache a source file.
#pragma once

#include <type_traits>

#include "awq/backend/cuda/attention_long.cuh"
#include "awq/backend/cuda/attention_short.cuh"
#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/launch.h"
#include "awq/ops/args.h"

namespace awq::cuda {

struct AttentionRows {
  int64_t shortest = 0;  // sequences of the short arrangement
  int64_t longest = 0;   // most rows of the others; 0: there are none
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

template <typename T, typename C, int D>
void RunShort(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
              const Batch& batch) {
  constexpr int kShared = ShortSharedBytes(D * static_cast<int>(sizeof(C)));
  const dim3 grid(1, static_cast<unsigned>(shape.kv_heads),
                  static_cast<unsigned>(batch.num_seqs() * shape.splits));
  if constexpr (D <= 128) {  // larger heads have not been measured as clusters
    if (device.arch == 90 && shape.splits > 1 && shape.splits <= kMostClustered) {
      void (*kernel)(AttentionShape) = ShortAttention<T, C, D, true>;
      AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
      AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
      return LaunchClusters(queue, kernel, grid, dim3(1, 1, static_cast<unsigned>(shape.splits)),
                            32 * kAttentionWarps, kShared, shape);
    }
  }
  void (*kernel)(AttentionShape) = ShortAttention<T, C, D, false>;
  AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  Launch(queue, kernel, grid, 32 * kAttentionWarps, kShared, shape);
}

template <typename T, typename C>
void RunAttention(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
                  const Batch& batch, const AttentionRows& rows) {
  if (rows.longest > 0) {
    const auto run = shape.d <= 64 ? RunLong<T, C, 64> : shape.d <= 80 ? RunLong < T, C,
               kIsE4m3<C> ? 96 : 80 >
        : shape.d <= 96 ? RunLong<T, C, 96>
                        : shape.d <= 112 ? RunLong < T,
               C,
               kIsE4m3<C> ? 128 : 112 >
        : shape.d <= 128 ? RunLong<T, C, 128>
      : shape.d <= 192   ? RunLong<T, C, 192>
                         : RunLong<T, C, 256>;
    run(queue, device, shape, batch, rows.longest);
  }
  if (rows.shortest > 0) {
    const auto run = shape.d <= 64    ? RunShort<T, C, 64>
                     : shape.d <= 128 ? RunShort<T, C, 128>
                     : shape.d <= 192 ? RunShort<T, C, 192>
                                      : RunShort<T, C, 256>;
    run(queue, device, shape, batch);
  }
}

// RunAttention for a cache of E4M3; q: F16 or BF16.
void RunE4m3Attention(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
                      const Batch& batch, const AttentionRows& rows, DType q);

}  // namespace awq::cuda
