// How the parts of an item of latent_tiles.cuh meet.
#pragma once

#include <cuda/atomic>

#include "awq/backend/cuda/latent_keys.cuh"
#include "awq/backend/cuda/numeric.cuh"

namespace awq::cuda {

// Adds up the parts of one item: `out` of each thread, `stats` (max, sum) of each row in shared
// memory. Parts lie [column pair][thread] float4, two rows each.
template <typename T, typename S>
class LatentMerge {
 public:
  static constexpr int kQuads = S::kColumns / 8;
  static constexpr int kPieces = kQuads * S::kThreads;  // float4s of a part

  __device__ LatentMerge(const LatentTilesArgs& a, const LatentItem& item, int index, int part)
      : a_(a),
        item_(item),
        partial_(reinterpret_cast<float4*>(a.partial) + int64_t{index} * a.parts * kPieces),
        stats_(a.stats + int64_t{index} * a.parts * S::kRows),
        met_(a.met[index]),
        part_(part) {}

  __device__ void Leave(const float (&out)[kQuads][4]) const {
    float4* to = partial_ + part_ * kPieces + threadIdx.x;
#pragma unroll
    for (int c = 0; c < kQuads; ++c) {
      to[c * S::kThreads] = make_float4(out[c][0], out[c][1], out[c][2], out[c][3]);
    }
  }
  __device__ void LeaveStats(int row, float2 max_and_sum) const {
    stats_[part_ * S::kRows + row] = max_and_sum;
  }
  // Until all parts have left what they have.
  __device__ void Meet() {
    __syncthreads();
    if (threadIdx.x == 0) {
      met_.fetch_add(1, ::cuda::memory_order_acq_rel);
      while (met_.load(::cuda::memory_order_acquire) < a_.parts) {
      }
    }
    __syncthreads();
  }
  // shared: free memory, factors of all parts, then sums of kThreads.
  __device__ void AddShare(float* shared) {
    float* factors = shared;  // [part][row]
    const int thread = static_cast<int>(threadIdx.x);
    // A warp a row, a lane a part.
    for (int row = thread / 32; row < S::kRows; row += S::kWarps) {
      constexpr int kMost = kMostLatentParts / 32;
      float2 stats[kMost];
      float most = -INFINITY;
#pragma unroll
      for (int i = 0; i < kMost; ++i) {
        const int p = 32 * i + thread % 32;
        stats[i] = p < a_.parts ? __ldcg(&stats_[p * S::kRows + row]) : make_float2(-INFINITY, 0);
        most = fmaxf(most, stats[i].x);
      }
      most = WarpMax(most);
      float total = 0;
#pragma unroll
      for (int i = 0; i < kMost; ++i) {
        // A part without keys, or there is none.
        stats[i].x = stats[i].y == 0.0f ? 0.0f : Exp2(stats[i].x - most);
        total += stats[i].y * stats[i].x;
      }
      total = WarpSum(total);
#pragma unroll
      for (int i = 0; i < kMost; ++i) {
        const int p = 32 * i + thread % 32;
        if (p < a_.parts) factors[p * S::kRows + row] = stats[i].x / total;
      }
    }
    __syncthreads();
    if (thread == 0 && met_.fetch_add(1, ::cuda::memory_order_relaxed) == 2 * a_.parts - 1) {
      met_.store(0, ::cuda::memory_order_relaxed);
    }
    const int begin = kPieces * part_ / a_.parts;
    const int end = kPieces * (part_ + 1) / a_.parts;
    // Groups of threads have the pieces' parts in turn.
    auto* sums = reinterpret_cast<float4*>(shared + (a_.parts * S::kRows + 3) / 4 * 4);
    const int width = min(end - begin, S::kThreads);
    const int groups = S::kThreads / width;
    for (int first = begin; first < end; first += width) {
      const int piece = first + thread % width;
      const int group = thread / width;
      float4 sum = {};
      if (group < groups && piece < end) {
        const int row = RowOf(piece);
#pragma unroll 8
        for (int p = group; p < a_.parts; p += groups) {
          const float4 v = __ldcg(&partial_[p * kPieces + piece]);
          const float low = factors[p * S::kRows + row];
          const float high = factors[p * S::kRows + row + 8];
          sum.x += v.x * low;
          sum.y += v.y * low;
          sum.z += v.z * high;
          sum.w += v.w * high;
        }
        sums[thread] = sum;
      }
      __syncthreads();
      if (group == 0 && piece < end) {
        for (int g = 1; g < groups; ++g) {
          const float4 v = sums[g * width + thread];
          sum.x += v.x;
          sum.y += v.y;
          sum.z += v.z;
          sum.w += v.w;
        }
        Store(RowOf(piece), ColumnOf(piece), sum.x, sum.y);
        Store(RowOf(piece) + 8, ColumnOf(piece), sum.z, sum.w);
      }
      __syncthreads();
    }
  }
  // Two neighbours of a row of the tile.
  __device__ void Store(int row, int column, float u, float v) const {
    row += item_.first_row;
    if (row >= item_.rows) return;
    T* to = static_cast<T*>(a_.y) + (item_.begin + row / a_.heads) * a_.y_stride +
            row % a_.heads * S::kRank;
    *reinterpret_cast<uint32_t*>(to + column) = PackPair<T>(u, v);
  }

 private:
  __device__ static int RowOf(int piece) {
    const int thread = piece % S::kThreads;
    return thread / 32 % S::kRowWarps * 16 + thread % 32 / 4;
  }
  __device__ static int ColumnOf(int piece) {
    const int thread = piece % S::kThreads;
    return thread / 32 / S::kRowWarps * S::kColumns + piece / S::kThreads * 8 + thread % 4 * 2;
  }

  const LatentTilesArgs& a_;
  const LatentItem& item_;
  float4* partial_;
  float2* stats_;
  ::cuda::atomic_ref<int, ::cuda::thread_scope_device> met_;
  int part_;
};

}  // namespace awq::cuda
