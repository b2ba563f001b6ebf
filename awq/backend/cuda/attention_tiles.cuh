// Attention of at most 16 rows: decoding with many sequences, where this arrangement comes closer
// to the memory's limit than attention_short.cuh. A block of four warps has all rows. Of a tile's
// 64 keys each warp weighs 16; the weights meet in shared memory, and each warp sums a quarter of
// the elements of the values. Keys are split over thread blocks as well: those of a sequence are a
// cluster that meets in its shared memory, or, where they are too many, the last of them to finish
// adds what all wrote. Three tiles, of keys and of values in turn, are under way at a time: 51 KB
// at d = 128, so that four blocks share an SM. bound   memory: 4·G·d bytes a key
#pragma once

#include "awq/backend/cuda/attention_splits.cuh"

namespace awq::cuda {

inline constexpr int kTileStages = 3;
inline constexpr int kWeightRowBytes = 2 * kTileKeys + 16;

constexpr int TilesSharedBytes(int d) {
  return kTileStages * kTileKeys * (2 * d + 16) + kShortRows * kWeightRowBytes;
}

// D: head size, rounded up to what is compiled. grid (1, G, B · splits); `clustered`: the splits of
// a sequence are a cluster.
template <typename T, int D>
__global__ void __launch_bounds__(32 * kAttentionWarps, D <= 128 ? 4 : 1)
    TilesAttention(const AttentionShape a, bool clustered) {
  constexpr int kColumns = D / kAttentionWarps;  // of the values, a warp
  static_assert(kColumns % 16 == 0);
  using Loader = TileLoader<T, D>;
  extern __shared__ __align__(16) uint8_t shared[];
  __shared__ float peaks[kAttentionWarps][kShortRows];
  __shared__ float2 stats[kShortRows];
  const uint32_t base = SharedAddress(shared);
  const uint32_t weights_at = base + kTileStages * Loader::kBytes;
  AllowNextKernel();
  const int sequence = static_cast<int>(blockIdx.z) / a.splits;
  const int split = static_cast<int>(blockIdx.z) % a.splits;
  const int g = static_cast<int>(blockIdx.y);
  const int heads = a.heads / a.kv_heads;
  const KeySpan span(a, sequence, 0, kShortRows, split, a.splits);
  if (span.rows == 0 || span.rows > a.short_rows) return;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  // Item 2i is the keys of tile i, item 2i + 1 its values.
  const Loader loader(a, sequence, g);
  const int items = 2 * max(0, span.tile_end - span.tile_begin);
  typename Loader::Places places;
  const auto load = [&](int item) {
    if (item < items) {
      const int tile = span.tile_begin + item / 2;
      if (item % 2 == 0) places = loader.Find(a, tile, span.end_key);
      loader.Load(a, item % 2 == 0 ? a.keys : a.values, places, tile,
                  base + item % kTileStages * Loader::kBytes);
    }
    AsyncCommit();
  };
  // What other steps have stored was there before this step's first kernel; what this one stores,
  // and queries, are there once the previous kernel has ended.
  const bool early = (span.tile_begin + 1) * kTileKeys <= span.cached;
  if (!early) WaitForPreviousKernel();
  load(0);
  load(1);
  if (early) WaitForPreviousKernel();

  uint32_t q[D / 16][4];
  int position[2];
  LoadQueries<T, D>(a, span, g, 0, q, position);
  float out[kColumns / 8][4] = {};
  float largest[2] = {-INFINITY, -INFINITY};
  float total[2] = {};  // of this warp's keys
  const uint32_t key_at =
      (16 * warp + lane % 8 + lane / 16 * 8) * Loader::kRowBytes + lane / 8 % 2 * 16;
  const uint32_t weight_at = weights_at + lane % 16 * kWeightRowBytes + lane / 16 * 16;
  const uint32_t value_at = lane % 16 * Loader::kRowBytes + lane / 16 * 16 + 2 * kColumns * warp;

  for (int item = 0; item < items; item += 2) {
    AsyncWait<1>();
    __syncthreads();  // these keys are there, and nobody reads the values before them any more
    load(item + 2);
    const int first_key = (span.tile_begin + item / 2) * kTileKeys + 16 * warp;
    const uint32_t keys = base + item % kTileStages * Loader::kBytes + key_at;
    float s[2][4] = {};
#pragma unroll
    for (int step = 0; step < D / 16; ++step) {
      uint32_t k[4];
      LoadMatrices(keys + 32 * step, k);
      Mma<T>(s[0], q[step], k[0], k[1]);
      Mma<T>(s[1], q[step], k[2], k[3]);
    }
    float highest[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = first_key + 8 * j + 2 * (lane % 4) + i % 2;
        const int p = position[i / 2];
        if (AdjustsScores(a)) {
          const int row = min(lane / 4 + 8 * (i / 2), span.rows - 1);
          s[j][i] = AdjustScore(a, s[j][i], g * heads + row % heads, p - key);
        }
        if (key > p || (a.window > 0 && key <= p - a.window)) s[j][i] = -INFINITY;
        highest[i / 2] = fmaxf(highest[i / 2], s[j][i]);
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      highest[i] = fmaxf(highest[i], __shfl_xor_sync(~0u, highest[i], 1));
      highest[i] = fmaxf(highest[i], __shfl_xor_sync(~0u, highest[i], 2));
      if (lane % 4 == 0) peaks[warp][lane / 4 + 8 * i] = highest[i];
    }
    AsyncWait<1>();
    __syncthreads();  // the maxima of all warps and these values are there; the keys are free
    load(item + 3);
    float shift[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float top = largest[i];
#pragma unroll
      for (int w = 0; w < kAttentionWarps; ++w) top = fmaxf(top, peaks[w][lane / 4 + 8 * i]);
      shift[i] = top == -INFINITY ? 0.0f : top * a.scale;
      const float shrink = Exp2(largest[i] * a.scale - shift[i]);
      largest[i] = top;
      total[i] *= shrink;
#pragma unroll
      for (int c = 0; c < kColumns / 8; ++c) {
        out[c][2 * i] *= shrink;
        out[c][2 * i + 1] *= shrink;
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const float u = Exp2(fmaf(s[j][2 * i], a.scale, -shift[i]));
        const float v = Exp2(fmaf(s[j][2 * i + 1], a.scale, -shift[i]));
        total[i] += u + v;
        const uint32_t to =
            (lane / 4 + 8 * i) * kWeightRowBytes + 2 * (16 * warp + 8 * j + 2 * (lane % 4));
        *reinterpret_cast<uint32_t*>(shared + kTileStages * Loader::kBytes + to) =
            PackPair<T>(u, v);
      }
    }
    __syncthreads();  // the weights of all warps are there
    const uint32_t values = base + (item + 1) % kTileStages * Loader::kBytes + value_at;
#pragma unroll
    for (int j = 0; j < kTileKeys / 16; ++j) {
      uint32_t w[4];
      LoadMatrices(weight_at + 32 * j, w);
#pragma unroll
      for (int c = 0; c < kColumns / 16; ++c) {
        uint32_t v[4];
        LoadMatricesTransposed(values + 16 * j * Loader::kRowBytes + 32 * c, v);
        Mma<T>(out[2 * c], w, v[0], v[1]);
        Mma<T>(out[2 * c + 1], w, v[2], v[3]);
      }
    }
  }

  __syncthreads();  // maxima have been read
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    total[i] += __shfl_xor_sync(~0u, total[i], 1);
    total[i] += __shfl_xor_sync(~0u, total[i], 2);
    if (lane % 4 == 0) peaks[warp][lane / 4 + 8 * i] = total[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = lane / 4 + 8 * i;
    if (row >= span.rows) continue;
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < kAttentionWarps; ++w) sum += peaks[w][row];
    const int token = span.begin + row / heads;
    const int head = g * heads + row % heads;
    const int64_t at = ((int64_t{sequence} * a.kv_heads + g) * kShortRows + row) * a.splits + split;
    if (clustered) {
      if (warp == 0 && lane % 4 == 0) stats[row] = make_float2(largest[i], sum);
    } else if (a.splits > 1 && warp == 0 && lane % 4 == 0) {
      a.partial_stats[at] = make_float2(largest[i], sum);
    }
#pragma unroll
    for (int c = 0; c < kColumns / 8; ++c) {
      const int column = kColumns * warp + 8 * c + 2 * (lane % 4);
      if (column >= a.d) continue;
      if (clustered) {
        *reinterpret_cast<float2*>(shared + 4 * (row * D + column)) =
            make_float2(out[c][2 * i], out[c][2 * i + 1]);
      } else if (a.splits > 1) {
        *reinterpret_cast<float2*>(a.partial + at * a.d + column) =
            make_float2(out[c][2 * i], out[c][2 * i + 1]);
      } else {
        *reinterpret_cast<uint32_t*>(static_cast<T*>(a.y) + token * a.y_stride + head * a.d +
                                     column) =
            PackPair<T>(out[c][2 * i] / sum, out[c][2 * i + 1] / sum);
      }
    }
  }
  if (clustered) {
    CombineCluster<T, D>(a, g, span.begin, span.rows, split, base, SharedAddress(stats));
  } else if (a.splits > 1) {
    CombineSplits<T>(a, sequence, g, span.begin, span.rows, reinterpret_cast<float*>(shared));
  }
}

}  // namespace awq::cuda
