// How thread blocks that have each seen a part of a sequence's keys add up what they have.
#pragma once

#include "awq/backend/cuda/attention.cuh"
#include "awq/backend/cuda/cluster.cuh"

namespace awq::cuda {

// Which part of a sequence's keys a thread block has. Parts of a sequence are neighbours in
// blockIdx.z; the kv head is blockIdx.y.
struct Split {
  int sequence = 0;
  int index = 0, count = 0;  // this part, of so many; of 0: there is nothing to do
};
// Where row 0 of what block (g, z) has found out is kept.
__device__ inline int64_t PlaceOfPart(const AttentionShape& a, int g, int z) {
  return (int64_t{z} * a.kv_heads + g) * kShortRows;
}

// How many parts of about 1 / inverse_each tiles: one at least, if there is a tile.
__device__ inline int PartsOf(int tiles, float inverse_each) {
  const int parts = __float2int_ru(static_cast<float>(tiles) * inverse_each - 1e-4f);
  return max(min(parts, kMostSplits), min(tiles, 1));
}

// All threads of a block, whose number is a multiple of 32. Where sequences share a.columns blocks
// (of a kv head), parts are as small as so many blocks allow; with more sequences than that, of a
// block's fair share of all keys. tiles: shared memory for kMostShared numbers.
template <int kRows>
__device__ inline Split SplitOf(const AttentionShape& a, int* tiles) {
  const int column = static_cast<int>(blockIdx.z);
  if (a.columns == 0) {
    return {column / a.splits, column % a.splits, a.splits};
  }
  for (int b = static_cast<int>(threadIdx.x); b < a.sequences; b += static_cast<int>(blockDim.x)) {
    const KeySpan span(a, b, 0, kRows);  // of 64 keys a tile
    tiles[b] = span.rows > 0 && span.IsShort(a) ? span.tile_end - span.tile_begin : 0;
  }
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int total = 0;
  int high = 1;
  for (int b = lane; b < a.sequences; b += 32) {
    total += tiles[b];
    high = max(high, tiles[b]);
  }
  total = WarpSum(total);
  high = static_cast<int>(WarpMax(static_cast<float>(high)));
  int each = max((total + a.columns - 1) / a.columns, 1);
  while (a.sequences <= a.columns && each < high) {
    const int middle = (each + high) / 2;
    const float inverse = 1.0f / static_cast<float>(middle);
    int parts = 0;
    for (int b = lane; b < a.sequences; b += 32) parts += PartsOf(tiles[b], inverse);
    if (WarpSum(parts) <= a.columns) {
      high = middle;
    } else {
      each = middle + 1;
    }
  }
  const float inverse = 1.0f / static_cast<float>(each);
  int before = 0;
  Split out;
  for (int from = 0; from < a.sequences; from += 32) {
    const int parts = from + lane < a.sequences ? PartsOf(tiles[from + lane], inverse) : 0;
    const int end = before + WarpSumUpTo(parts);
    const unsigned has = __ballot_sync(~0u, column < end && column >= end - parts);
    if (has != 0) {
      const int which = __ffs(static_cast<int>(has)) - 1;
      const int count = __shfl_sync(~0u, parts, which);
      out = {from + which, column - __shfl_sync(~0u, end, which) + count, count};
      break;
    }
    before = __shfl_sync(~0u, end, 31);
  }
  __syncthreads();  // the numbers have been read
  return out;
}

// By all threads of a block that has written its part; the last one adds all parts. shares:
// shared memory for [rows][parts], each part's share of the whole.
template <typename T>
__device__ void CombineSplits(const AttentionShape& a, const Split& split, int g, int begin,
                              int rows, float* shares) {
  const int thread = static_cast<int>(threadIdx.x);
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (thread == 0) {
    int* finished = a.finished + split.sequence * a.kv_heads + g;
    last = atomicAdd(finished, 1) == split.count - 1;
    if (last) *finished = 0;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  const int64_t apart = int64_t{a.kv_heads} * kShortRows;  // rows of neighbouring parts
  const int64_t first = PlaceOfPart(a, g, static_cast<int>(blockIdx.z) - split.index);
  const int lane = thread % 32;
  for (int row = thread / 32; row < rows; row += static_cast<int>(blockDim.x) / 32) {
    constexpr int kEach = kMostSplits / 32;  // parts of a lane
    float2 stats[kEach];
    float top = -INFINITY;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int s = lane + 32 * i;
      stats[i] = s < split.count ? __ldcg(a.partial_stats + first + s * apart + row)
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
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int s = lane + 32 * i;
      if (s < split.count) shares[row * split.count + s] = stats[i].x / weight;
    }
  }
  __syncthreads();
  for (int i = thread; i < rows * a.d; i += static_cast<int>(blockDim.x)) {
    const int row = i / a.d;
    const int c = i % a.d;
    const float* partial = a.partial + (first + row) * a.d + c;
    float sum = 0.0f;
#pragma unroll 8
    for (int s = 0; s < split.count; ++s) {
      const float share = shares[row * split.count + s];
      // Parts without keys have written nothing that counts.
      sum += share == 0.0f ? 0.0f : share * __ldcg(partial + s * apart * a.d);
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
