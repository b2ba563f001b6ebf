// Attention of few rows: decoding with many sequences, where this arrangement comes closer
// to the memory's limit than attention_short.cuh. A block of four warps has all rows. Of a tile's
// 64 keys each warp weighs 16; the weights meet in shared memory, and each warp sums a quarter of
// the elements of the values. Keys may be split over thread blocks: those of a sequence are a
// cluster that meets in its shared memory, or, where there are none, the last of them to finish
// adds what all wrote. Three tiles, of keys and of values in turn, are under way at a time: 51 KB
// at d = 128, so that four blocks share an SM. Elements of E4M3 are expanded to f16 between shared
// memory and product.
// bound   memory: 4·G·d bytes a key, half of them in E4M3
#pragma once

#include "awq/backend/cuda/attention_combine.cuh"

namespace awq::cuda {

// D: head size, rounded up to 64 or 128; kRows: most rows, 8 or 16. grid (1, G, B · splits);
// `clustered`: the splits of a sequence are a cluster.
template <typename T, typename C, int D, int kRows>
__global__ void __launch_bounds__(32 * kAttentionWarps, 4)
    TilesAttention(const AttentionShape a, bool clustered) {
  constexpr int kColumns = D / kAttentionWarps;  // of the values, a warp
  static_assert(kColumns % 16 == 0);
  constexpr int kHalves = kRows / 8;  // of 8 rows
  using Loader = TileLoader<C, D>;
  using M = Operand<C>;
  extern __shared__ __align__(16) uint8_t shared[];
  __shared__ float4 peaks[kRows];  // of the warps
  __shared__ float2 stats[kRows];
  const uint32_t base = SharedAddress(shared);
  const uint32_t weights_at = base + kTileStages * Loader::kBytes;
  AllowNextKernel();
  const Part part = EvenPart(a);
  const int g = static_cast<int>(blockIdx.y);
  const int heads = a.heads / a.kv_heads;
  const KeySpan span(a, part.sequence, 0, kRows, part.index, part.count);
  if (span.rows == 0 || !span.IsShort(a)) return;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  // Item 2i is the keys of tile i, item 2i + 1 its values.
  const Loader loader(a, part.sequence, g, static_cast<int>(threadIdx.x));
  const int items = 2 * max(0, span.tile_end - span.tile_begin);
  typename Loader::Places places;
  const auto load = [&](int item) {
    if (item < items) {
      const int tile = span.tile_begin + item / 2;
      if (item % 2 == 0) places = loader.Find(a, tile, span.end_key);
      loader.Load(item % 2 == 0 ? a.keys : a.values, places,
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
  LoadQueries<T, M, kIsE4m3<C> ? 4 : 2, D>(a, span, g, 0, q, position);
  if constexpr (kHalves == 1) {
#pragma unroll
    for (auto& step : q) step[1] = step[3] = 0;
  }
  float out[kColumns / 8][4] = {};
  float largest[kHalves];
  float total[kHalves] = {};  // of this warp's keys
#pragma unroll
  for (float& most : largest) most = -INFINITY;
  const uint32_t key_at =
      (16 * warp + lane % 8 + lane / 16 * 8) * Loader::kRowBytes + lane / 8 % 2 * 16;
  // Four matrices of 8 keys, or two of each half of the rows.
  const uint32_t weight_at = weights_at + lane % kRows * kWeightRowBytes + lane / kRows * 16;
  // Matrices of two times 8 columns are beside each other; of 16 of E4M3, of two times 16 keys.
  const uint32_t value_at =
      kIsE4m3<C> ? lane * Loader::kRowBytes + kColumns * warp
                 : lane % 16 * Loader::kRowBytes + lane / 16 * 16 + 2 * kColumns * warp;

  for (int item = 0; item < items; item += 2) {
    AsyncWait<1>();
    __syncthreads();  // these keys are there, and nobody reads the values before them any more
    load(item + 2);
    const int first_key = (span.tile_begin + item / 2) * kTileKeys + 16 * warp;
    const uint32_t keys = base + item % kTileStages * Loader::kBytes + key_at;
    float s[2][4] = {};
#pragma unroll
    for (int step = 0; step < D * static_cast<int>(sizeof(C)) / 32; ++step) {
      uint32_t k[4];
      LoadMatrices(keys + 32 * step, k);
      if constexpr (kIsE4m3<C>) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const F16Pairs key = ExpandE4m3(k[i]);
          Mma<M>(s[i / 2], q[2 * step + i % 2], key.low, key.high);
        }
      } else {
        Mma<M>(s[0], q[step], k[0], k[1]);
        Mma<M>(s[1], q[step], k[2], k[3]);
      }
    }
    if (AdjustsScores(a)) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < 2 * kHalves; ++i) {
          const int key = first_key + 8 * j + 2 * (lane % 4) + i % 2;
          const int row = min(lane / 4 + 8 * (i / 2), span.rows - 1);
          s[j][i] = AdjustScore(a, s[j][i], g * heads + row % heads, position[i / 2] - key);
        }
      }
    }
    if (first_key + 15 > span.cached || a.window > 0) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < 2 * kHalves; ++i) {
          const int key = first_key + 8 * j + 2 * (lane % 4) + i % 2;
          const int p = position[i / 2];
          if (key > p || (a.window > 0 && key <= p - a.window)) s[j][i] = -INFINITY;
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kHalves; ++i) {
      float highest =
          fmaxf(fmaxf(s[0][2 * i], s[0][2 * i + 1]), fmaxf(s[1][2 * i], s[1][2 * i + 1]));
      highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, 1));
      highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, 2));
      if (lane % 4 == 0) reinterpret_cast<float*>(peaks + lane / 4 + 8 * i)[warp] = highest;
    }
    AsyncWait<1>();
    __syncthreads();  // the maxima of all warps and these values are there; the keys are free
    load(item + 3);
#pragma unroll
    for (int i = 0; i < kHalves; ++i) {
      const float4 highest = peaks[lane / 4 + 8 * i];
      const float top =
          fmaxf(largest[i], fmaxf(fmaxf(highest.x, highest.y), fmaxf(highest.z, highest.w)));
      const float shift = top == -INFINITY ? 0.0f : top * a.scale;
      // Maxima seldom move after the first tiles.
      if (__any_sync(~0u, top != largest[i])) {
        const float shrink = Shrink(largest[i], a.scale, shift);
        largest[i] = top;
        total[i] *= shrink;
#pragma unroll
        for (int c = 0; c < kColumns / 8; ++c) {
          out[c][2 * i] *= shrink;
          out[c][2 * i + 1] *= shrink;
        }
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const float u = Exp2(fmaf(s[j][2 * i], a.scale, -shift));
        const float v = Exp2(fmaf(s[j][2 * i + 1], a.scale, -shift));
        total[i] += u + v;
        const uint32_t to =
            (lane / 4 + 8 * i) * kWeightRowBytes + 2 * (16 * warp + 8 * j + 2 * (lane % 4));
        *reinterpret_cast<uint32_t*>(shared + kTileStages * Loader::kBytes + to) =
            PackPair<M>(u, v);
      }
    }
    __syncthreads();  // the weights of all warps are there
    const uint32_t values = base + (item + 1) % kTileStages * Loader::kBytes + value_at;
#pragma unroll
    for (int j = 0; j < kTileKeys / 16; j += 2) {  // two times 16 keys
      uint32_t w[2][4];
      if constexpr (kHalves == 2) {
#pragma unroll
        for (int e = 0; e < 2; ++e) LoadMatrices(weight_at + 32 * (j + e), w[e]);
      } else {
        uint32_t both[4];
        LoadMatrices(weight_at + 32 * j, both);
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          w[e][0] = both[2 * e];
          w[e][2] = both[2 * e + 1];
          w[e][1] = w[e][3] = 0;
        }
      }
#pragma unroll
      for (int c = 0; c < kColumns / 16; ++c) {
        uint32_t v[4];
        if constexpr (kIsE4m3<C>) {
          LoadMatricesTransposed(values + 16 * (j * Loader::kRowBytes + c), v);
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            const F16Pairs first = ExpandE4m3Columns(v[2 * e]);
            const F16Pairs second = ExpandE4m3Columns(v[2 * e + 1]);
            Mma<M>(out[2 * c], w[e], first.low, second.low);
            Mma<M>(out[2 * c + 1], w[e], first.high, second.high);
          }
        } else {
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            LoadMatricesTransposed(values + 16 * (j + e) * Loader::kRowBytes + 32 * c, v);
            Mma<M>(out[2 * c], w[e], v[0], v[1]);
            Mma<M>(out[2 * c + 1], w[e], v[2], v[3]);
          }
        }
      }
    }
  }
  Settle<C>(out);

  __syncthreads();  // maxima have been read
#pragma unroll
  for (int i = 0; i < kHalves; ++i) {
    total[i] += __shfl_xor_sync(~0u, total[i], 1);
    total[i] += __shfl_xor_sync(~0u, total[i], 2);
    if (lane % 4 == 0) reinterpret_cast<float*>(peaks + lane / 4 + 8 * i)[warp] = total[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kHalves; ++i) {
    const int row = lane / 4 + 8 * i;
    if (row >= span.rows) continue;
    const float4 totals = peaks[row];
    const float sum = (totals.x + totals.y) + (totals.z + totals.w);
    const int token = span.begin + row / heads;
    const int head = g * heads + row % heads;
    const int64_t at = PlaceOfPart(a, g, part.place) + row;
    if (clustered) {
      if (warp == 0 && lane % 4 == 0) stats[row] = make_float2(largest[i], sum);
    } else if (part.count > 1 && warp == 0 && lane % 4 == 0) {
      a.partial_stats[at] = make_float2(largest[i], sum);
    }
#pragma unroll
    for (int c = 0; c < kColumns / 8; ++c) {
      const int column = kColumns * warp + SumColumn<C>(c, lane);
      if (column >= a.d) continue;
      if (clustered) {
        *reinterpret_cast<float2*>(shared + 4 * (row * D + column)) =
            make_float2(out[c][2 * i], out[c][2 * i + 1]);
      } else if (part.count > 1) {
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
    CombineCluster<T, D>(a, g, span.begin, span.rows, part.index, base, SharedAddress(stats));
  } else if (part.count > 1) {
    __shared__ Part left;
    if (threadIdx.x == 0) left = part;
    CombineParts<T>(a, &left, 1, g);
  }
}

}  // namespace awq::cuda
