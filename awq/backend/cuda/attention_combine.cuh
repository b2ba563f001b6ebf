// How warps, and thread blocks, that have each seen a part of a sequence's keys add up what they
// have.
#pragma once

#include <cuda/atomic>

#include "awq/backend/cuda/attention_splits.cuh"
#include "awq/backend/cuda/cluster.cuh"

namespace awq::cuda {

// Where row 0 of a part's sums is kept.
__device__ inline int64_t PlaceOfPart(const AttentionShape& a, int g, int place) {
  return (int64_t{place} * a.kv_heads + g) * kShortRows;
}

// Of a block: the sums and (max, sum) of each row of a part that its warps have left in shared
// memory become outputs, where the part has all keys, or one sum: in the place of the first warp's
// and in merged, if `clustered`, or where other blocks find it.
template <typename T, int kRows, int D>
__device__ __forceinline__ void MergeWarps(const AttentionShape& a, const Part& part, int g,
                                           int begin, int rows, int d,
                                           float (&sums)[kAttentionWarps][kRows][D],
                                           const float2 (&stats)[kAttentionWarps][kRows],
                                           float2 (&merged)[kRows], bool clustered) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * d / 4; i += 32 * kAttentionWarps) {
    const int row = i / (d / 4);
    const int c = i % (d / 4) * 4;
    float top = -INFINITY;
#pragma unroll
    for (int w = 0; w < kAttentionWarps; ++w) top = fmaxf(top, stats[w][row].x);
    float sum[4] = {};
    float weight = 0.0f;
#pragma unroll
    for (int w = 0; w < kAttentionWarps; ++w) {
      const float2 st = stats[w][row];
      const float share = st.x == -INFINITY ? 0.0f : Exp2((st.x - top) * a.scale);
      weight += share * st.y;
      const float4 v = *reinterpret_cast<const float4*>(&sums[w][row][c]);
      sum[0] += share * v.x;
      sum[1] += share * v.y;
      sum[2] += share * v.z;
      sum[3] += share * v.w;
    }
    const int64_t at = PlaceOfPart(a, g, part.place) + row;
    if (part.count == 1) {
      T* to = OutputRow<T>(a, begin, g, row) + c;
      reinterpret_cast<uint32_t*>(to)[0] = PackPair<T>(sum[0] / weight, sum[1] / weight);
      reinterpret_cast<uint32_t*>(to)[1] = PackPair<T>(sum[2] / weight, sum[3] / weight);
      continue;
    }
    float* to = clustered ? &sums[0][row][c] : a.partial + at * d + c;
    *reinterpret_cast<float4*>(to) = make_float4(sum[0], sum[1], sum[2], sum[3]);
    if (c == 0) (clustered ? merged[row] : a.partial_stats[at]) = make_float2(top, weight);
  }
}

// By all threads of a block that has left sums of `count` parts of two sequences at most; the last
// block of a sequence adds up what all have left, a row a warp. A lane has the (max, sum) of some
// parts, and four columns of the sums of all.
template <typename T>
__device__ void CombineParts(const AttentionShape& a, const Part* parts, int count, int g) {
  constexpr int kEach = kMostSplits / 32;  // parts of a lane
  static_assert(kEach == 2);
  constexpr int kAtOnce = 4;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  __shared__ bool last[2];
  __syncthreads();  // all of it has been written
  if (thread < count) {
    int* finished = a.finished + parts[thread].sequence * a.kv_heads + g;
    const int before = ::cuda::atomic_ref<int, ::cuda::thread_scope_device>(*finished).fetch_add(
        1, ::cuda::memory_order_acq_rel);
    last[thread] = before == parts[thread].count - 1;
    if (last[thread]) *finished = 0;
  }
  __syncthreads();
  for (int p = 0; p < count; ++p) {
    if (!last[p]) continue;
    const Part part = parts[p];
    const int begin = a.seq_start[part.sequence];
    const int rows = (a.seq_start[part.sequence + 1] - begin) * (a.heads / a.kv_heads);
    const int64_t apart = int64_t{a.kv_heads} * kShortRows;  // rows of neighbouring parts
    const int64_t first = PlaceOfPart(a, g, part.place - part.index);
    for (int row = thread / 32; row < rows; row += static_cast<int>(blockDim.x) / 32) {
      float2 stats[kEach];
      float top = -INFINITY;
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const int s = lane + 32 * i;
        stats[i] = s < part.count ? __ldcg(a.partial_stats + first + s * apart + row)
                                  : make_float2(-INFINITY, 0.0f);
        top = fmaxf(top, stats[i].x);
      }
      top = WarpMax(top);
      float weight = 0.0f;
#pragma unroll
      for (float2& st : stats) {
        st.x = st.x == -INFINITY ? 0.0f : Exp2((st.x - top) * a.scale);
        weight += st.x * st.y;
      }
      weight = WarpSum(weight);
      for (int from = 0; from < a.d; from += 128) {
        const int c = from + 4 * lane;
        const float* partial = a.partial + (first + row) * a.d + c;
        float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        for (int s0 = 0; s0 < part.count; s0 += kAtOnce) {
          float4 v[kAtOnce];
#pragma unroll
          for (int i = 0; i < kAtOnce; ++i) {
            v[i] = c < a.d && s0 + i < part.count
                       ? __ldcg(reinterpret_cast<const float4*>(partial + (s0 + i) * apart * a.d))
                       : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
          }
#pragma unroll
          for (int i = 0; i < kAtOnce; ++i) {
            const int s = s0 + i;
            const float share = __shfl_sync(~0u, s < 32 ? stats[0].x : stats[1].x, s % 32);
            if (share == 0.0f) continue;  // parts without keys have written nothing that counts
            sum.x += share * v[i].x;
            sum.y += share * v[i].y;
            sum.z += share * v[i].z;
            sum.w += share * v[i].w;
          }
        }
        if (c < a.d) {
          auto* to = reinterpret_cast<uint32_t*>(OutputRow<T>(a, begin, g, row) + c);
          to[0] = PackPair<T>(sum.x / weight, sum.y / weight);
          to[1] = PackPair<T>(sum.z / weight, sum.w / weight);
        }
      }
    }
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
