// How thread blocks that have each seen a part of a sequence's keys add up what they have.
#pragma once

#include "awq/backend/cuda/attention.cuh"
#include "awq/backend/cuda/cluster.cuh"

namespace awq::cuda {

// By all threads of a block that has written its split; the last one adds all splits. shares:
// shared memory for [rows][splits], each split's part of the whole.
template <typename T>
__device__ void CombineSplits(const AttentionShape& a, int sequence, int g, int begin, int rows,
                              float* shares) {
  const int thread = static_cast<int>(threadIdx.x);
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (thread == 0) {
    int* finished = a.finished + sequence * a.kv_heads + g;
    last = atomicAdd(finished, 1) == a.splits - 1;
    if (last) *finished = 0;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  const int64_t first = (int64_t{sequence} * a.kv_heads + g) * kShortRows * a.splits;
  for (int row = thread; row < rows; row += static_cast<int>(blockDim.x)) {
    const float2* stats = a.partial_stats + first + row * a.splits;
    float top = -INFINITY;
    for (int s = 0; s < a.splits; ++s) top = fmaxf(top, __ldcg(stats + s).x);
    float weight = 0.0f;
    for (int s = 0; s < a.splits; ++s) {
      const float2 st = __ldcg(stats + s);
      const float share = st.x == -INFINITY ? 0.0f : Exp2((st.x - top) * a.scale);
      shares[row * a.splits + s] = share;
      weight += share * st.y;
    }
    for (int s = 0; s < a.splits; ++s) shares[row * a.splits + s] /= weight;
  }
  __syncthreads();
  for (int i = thread; i < rows * a.d; i += static_cast<int>(blockDim.x)) {
    const int row = i / a.d;
    const int c = i % a.d;
    const float* partial = a.partial + (first + row * a.splits) * a.d + c;
    float sum = 0.0f;
#pragma unroll 8
    for (int s = 0; s < a.splits; ++s) {
      const float share = shares[row * a.splits + s];
      // Splits without keys have written nothing that counts.
      sum += share == 0.0f ? 0.0f : share * __ldcg(partial + int64_t{s} * a.d);
    }
    OutputRow<T>(a, begin, g, row)[c] = FromFloat<T>(sum);
  }
}

// The same by all blocks of a cluster, each of which has its sums, [row][kStride], and (max, sum)
// of each row in its shared memory: the elements are shared out among them. A thread asks for what
// kAtOnce of the others have at a time: each answer takes a quarter of a microsecond.
template <typename T, int kStride>
__device__ void CombineCluster(const AttentionShape& a, int g, int begin, int rows, int split,
                               uint32_t sums, uint32_t stats) {
  constexpr int kAtOnce = 4;  // more lengthen the code that is gone through once
  __syncwarp();
  ClusterSync();
  const int step = static_cast<int>(blockDim.x) * a.splits;
  for (int i = split * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x); i < rows * a.d;
       i += step) {
    const int row = i / a.d;
    const int c = i % a.d;
    float top = -INFINITY;
    float sum = 0.0f;
    float weight = 0.0f;
    for (int first = 0; first < a.splits; first += kAtOnce) {
      float2 stat[kAtOnce];
      float part[kAtOnce];
#pragma unroll
      for (int s = 0; s < kAtOnce; ++s) {
        stat[s].x = -INFINITY;
        if (first + s >= a.splits) continue;
        const auto rank = static_cast<uint32_t>(first + s);
        stat[s] = ClusterLoadPair(stats + 8 * row, rank);
        part[s] = ClusterLoad(sums + 4 * (row * kStride + c), rank);
      }
      float higher = top;
#pragma unroll
      for (int s = 0; s < kAtOnce; ++s) higher = fmaxf(higher, stat[s].x);
      if (higher == -INFINITY) continue;  // splits without keys: their sums mean nothing
      const float shrink = Exp2((top - higher) * a.scale);
      top = higher;
      sum *= shrink;
      weight *= shrink;
#pragma unroll
      for (int s = 0; s < kAtOnce; ++s) {
        if (stat[s].x == -INFINITY) continue;
        const float share = Exp2((stat[s].x - top) * a.scale);
        sum += share * part[s];
        weight += share * stat[s].y;
      }
    }
    OutputRow<T>(a, begin, g, row)[c] = FromFloat<T>(sum / weight);
  }
  __syncwarp();
  ClusterSync();  // nobody's shared memory goes before it has been read
}

}  // namespace awq::cuda
