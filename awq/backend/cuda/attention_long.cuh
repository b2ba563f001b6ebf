// Attention of many rows: a block of four warps has 64 rows, 16 a warp; every warp sees all 64 keys
// of a tile, of which the next is copied meanwhile.
// bound   tensor cores, then reading shared memory
#pragma once

#include "awq/backend/cuda/attention.cuh"

namespace awq::cuda {

inline constexpr int kLongRows = 64;

constexpr int LongSharedBytes(int d) { return 2 * 2 * kTileKeys * (2 * d + 16); }

// D: head size, rounded up to what is compiled. grid (row tiles, G, B)
template <typename T, int D>
__global__ void __launch_bounds__(32 * kAttentionWarps) LongAttention(const AttentionShape a) {
  constexpr int kKeyTiles = kTileKeys / 8;
  using Loader = TileLoader<T, D>;
  extern __shared__ __align__(16) uint8_t shared[];
  const uint32_t base = SharedAddress(shared);
  AllowNextKernel();
  const int sequence = static_cast<int>(blockIdx.z);
  const int g = static_cast<int>(blockIdx.y);
  const int heads = a.heads / a.kv_heads;
  // Late tiles see most keys: they come first.
  const int first_row =
      (static_cast<int>(gridDim.x) - 1 - static_cast<int>(blockIdx.x)) * kLongRows;
  const KeySpan span(a, sequence, first_row, kLongRows, 0, 1);
  if (first_row >= span.rows || span.rows <= kShortRows) return;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  const Loader loader(a, sequence, g);
  const auto load_tile = [&](int tile, int stage) {
    const uint32_t to = base + stage * 2 * Loader::kBytes;
    loader.Load(a, a.keys, tile, span.end_key, to);
    loader.Load(a, a.values, tile, span.end_key, to + Loader::kBytes);
    AsyncCommit();
  };
  WaitForPreviousKernel();
  load_tile(span.tile_begin, 0);

  uint32_t q[D / 16][4];
  int position[2];
  LoadQueries<T, D>(a, span, g, first_row + 16 * warp, q, position);
  float out[D / 8][4] = {};
  float largest[2] = {-INFINITY, -INFINITY};
  float total[2] = {};
  // Where this lane points matrix loads to: a row of keys 16j.., of values 16j...
  const uint32_t key_at = (lane % 8 + lane / 16 * 8) * Loader::kRowBytes + lane / 8 % 2 * 16;
  const uint32_t value_at = Loader::kBytes + lane % 16 * Loader::kRowBytes + lane / 16 * 16;

  for (int tile = span.tile_begin; tile < span.tile_end; ++tile) {
    const int stage = (tile - span.tile_begin) % 2;
    if (tile + 1 < span.tile_end) {
      load_tile(tile + 1, 1 - stage);
      AsyncWait<1>();
    } else {
      AsyncWait<0>();
    }
    __syncthreads();
    const uint32_t at = base + stage * 2 * Loader::kBytes;

    float s[kKeyTiles][4] = {};
#pragma unroll
    for (int step = 0; step < D / 16; ++step) {
#pragma unroll
      for (int j = 0; j < kKeyTiles / 2; ++j) {
        uint32_t k[4];
        LoadMatrices(at + key_at + 16 * j * Loader::kRowBytes + 32 * step, k);
        Mma<T>(s[2 * j], q[step], k[0], k[1]);
        Mma<T>(s[2 * j + 1], q[step], k[2], k[3]);
      }
    }

    if ((tile + 1) * kTileKeys > span.cached + first_row / heads + 1 || a.window > 0) {
#pragma unroll
      for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = tile * kTileKeys + 8 * j + 2 * (lane % 4) + i % 2;
          const int p = position[i / 2];
          if (key > p || (a.window > 0 && key <= p - a.window)) s[j][i] = -INFINITY;
        }
      }
    }
    float highest[2] = {largest[0], largest[1]};
#pragma unroll
    for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) highest[i / 2] = fmaxf(highest[i / 2], s[j][i]);
    }
    float shift[2];  // of this tile's exponents
    float shrink[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      highest[i] = fmaxf(highest[i], __shfl_xor_sync(~0u, highest[i], 1));
      highest[i] = fmaxf(highest[i], __shfl_xor_sync(~0u, highest[i], 2));
      // A row that has seen no key yet keeps sums of zero.
      shift[i] = highest[i] == -INFINITY ? 0.0f : highest[i] * a.scale;
      shrink[i] = Exp2(largest[i] * a.scale - shift[i]);
    }
    // Maxima seldom move after the first tiles.
    if (__any_sync(~0u, highest[0] != largest[0] || highest[1] != largest[1])) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        total[i] *= shrink[i];
        largest[i] = highest[i];
#pragma unroll
        for (int c = 0; c < D / 8; ++c) {
          out[c][2 * i] *= shrink[i];
          out[c][2 * i + 1] *= shrink[i];
        }
      }
    }
#pragma unroll
    for (int j = 0; j < kKeyTiles / 2; ++j) {
      uint32_t weights[4];
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float(&v)[4] = s[2 * j + h];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          v[i] = Exp2(fmaf(v[i], a.scale, -shift[i / 2]));
          total[i / 2] += v[i];
        }
        weights[2 * h] = PackPair<T>(v[0], v[1]);
        weights[2 * h + 1] = PackPair<T>(v[2], v[3]);
      }
#pragma unroll
      for (int c = 0; c < D / 16; ++c) {
        uint32_t v[4];
        LoadMatricesTransposed(at + value_at + 16 * j * Loader::kRowBytes + 32 * c, v);
        Mma<T>(out[2 * c], weights, v[0], v[1]);
        Mma<T>(out[2 * c + 1], weights, v[2], v[3]);
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int i = 0; i < 2; ++i) {
    total[i] += __shfl_xor_sync(~0u, total[i], 1);
    total[i] += __shfl_xor_sync(~0u, total[i], 2);
    const int row = first_row + 16 * warp + lane / 4 + 8 * i;
    if (row >= span.rows) continue;
    const float inverse = 1.0f / total[i];
    T* to = static_cast<T*>(a.y) + (span.begin + row / heads) * a.y_stride +
            (g * heads + row % heads) * a.d;
#pragma unroll
    for (int c = 0; c < D / 8; ++c) {
      const int column = 8 * c + 2 * (lane % 4);
      if (column >= a.d) continue;
      *reinterpret_cast<uint32_t*>(to + column) =
          PackPair<T>(out[c][2 * i] * inverse, out[c][2 * i + 1] * inverse);
    }
  }
}

}  // namespace awq::cuda
