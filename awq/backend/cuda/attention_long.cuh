// Attention of many rows: a block of four warps has 128 rows, 32 a warp (64 and 16 for d > 128, or
// where shared memory is small); every warp sees all 64 keys of a tile, of which the next is copied
// meanwhile. Queries wait in shared memory: two tiles of 16 rows for each load of keys and values
// keep the tensor cores fed.
// bound   tensor cores, then reading shared memory
#pragma once

#include "awq/backend/cuda/attention.cuh"

namespace awq::cuda {

// kM: tiles of 16 rows a warp.
template <int kM>
inline constexpr int kLongRows = 16 * kM* kAttentionWarps;
template <typename C, int D, int kM>
inline constexpr int kLongSharedBytes = 2 * 2 * TileLoader<C, D>::kBytes +
                                        kLongRows<kM>*(2 * D + 16);

// D: head size, rounded up to what is compiled. grid (row tiles, G, B)
template <typename T, typename C, int D, int kM>
__global__ void __launch_bounds__(32 * kAttentionWarps) LongAttention(const AttentionShape a) {
  constexpr int kKeyTiles = kTileKeys / 8;
  constexpr int kRows = kLongRows<kM>;
  constexpr int kQueryRowBytes = 2 * D + 16;
  using Loader = TileLoader<C, D>;
  using M = Operand<C>;
  extern __shared__ __align__(16) uint8_t shared[];
  const uint32_t base = SharedAddress(shared);
  AllowNextKernel();
  const int sequence = static_cast<int>(blockIdx.z);
  const int g = static_cast<int>(blockIdx.y);
  const int heads = a.heads / a.kv_heads;
  // Late tiles see most keys: they come first.
  const int first_row = (static_cast<int>(gridDim.x) - 1 - static_cast<int>(blockIdx.x)) * kRows;
  const KeySpan span(a, sequence, first_row, kRows);
  if (first_row >= span.rows || span.IsShort(a)) return;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  const Loader loader(a, sequence, g, static_cast<int>(threadIdx.x));
  const auto load_tile = [&](int tile, int stage) {
    const uint32_t to = base + stage * 2 * Loader::kBytes;
    const auto places = loader.Find(a, tile, span.end_key);
    loader.Load(a.keys, places, to);
    loader.Load(a.values, places, to + Loader::kBytes);
    AsyncCommit();
  };
  WaitForPreviousKernel();
  const uint32_t queries = base + 4 * Loader::kBytes;
  // A thread takes 8 elements of a row, or 16 that it arranges.
  constexpr int kElements = kIsE4m3<C> ? 16 : 8;
  for (int i = static_cast<int>(threadIdx.x); i < kRows * (D / kElements);
       i += 32 * kAttentionWarps) {
    const int at_row = i / (D / kElements);
    const int column = i % (D / kElements) * kElements;
    const int row = min(first_row + at_row, span.rows - 1);
    const T* from = static_cast<const T*>(a.q) + (span.begin + row / heads) * a.q_stride +
                    (g * heads + row % heads) * a.d + column;
    if constexpr (kIsE4m3<C>) {
      uint32_t* to = reinterpret_cast<uint32_t*>(shared + 4 * Loader::kBytes +
                                                 at_row * kQueryRowBytes + 2 * column);
#pragma unroll
      for (int p = 0; p < 8; ++p) {  // pairs: the even ones come first
        to[p / 2 + p % 2 * 4] =
            column < a.d ? ConvertPair<M, T>(*reinterpret_cast<const uint32_t*>(from + 2 * p)) : 0;
      }
    } else {
      AsyncCopy16(queries + at_row * kQueryRowBytes + 2 * column,
                  column < a.d ? from : static_cast<const T*>(a.q), column < a.d ? 16 : 0);
    }
  }
  load_tile(span.tile_begin, 0);

  // Of this lane's rows, 8 apart in each tile.
  int position[kM][2];
#pragma unroll
  for (int m = 0; m < kM; ++m) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int row = first_row + 16 * (kM * warp + m) + lane / 4 + 8 * i;
      position[m][i] = span.cached + min(row, span.rows - 1) / heads;
    }
  }
  float out[kM][D / 8][4] = {};
  float largest[kM][2];
  float total[kM][2] = {};
#pragma unroll
  for (int m = 0; m < kM; ++m) largest[m][0] = largest[m][1] = -INFINITY;
  const uint32_t query_at =
      queries + (16 * kM * warp + lane % 16) * kQueryRowBytes + lane / 16 * 16;
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

    float s[kM][kKeyTiles][4] = {};
    constexpr int kHalves = kIsE4m3<C> ? 2 : 1;  // steps of 16 elements in 32 bytes of a key
#pragma unroll
    for (int step = 0; step < D / 16 / kHalves; ++step) {
      uint32_t q[kM][kHalves][4];
#pragma unroll
      for (int m = 0; m < kM; ++m) {
#pragma unroll
        for (int h = 0; h < kHalves; ++h) {
          LoadMatrices(query_at + 16 * m * kQueryRowBytes + 32 * (kHalves * step + h), q[m][h]);
        }
      }
#pragma unroll
      for (int j = 0; j < kKeyTiles / 2; ++j) {
        uint32_t k[4];
        LoadMatrices(at + key_at + 16 * j * Loader::kRowBytes + 32 * step, k);
        if constexpr (kIsE4m3<C>) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const F16Pairs key = ExpandE4m3(k[i]);
#pragma unroll
            for (int m = 0; m < kM; ++m) {
              Mma<M>(s[m][2 * j + i / 2], q[m][i % 2], key.low, key.high);
            }
          }
        } else {
#pragma unroll
          for (int m = 0; m < kM; ++m) {
            Mma<M>(s[m][2 * j], q[m][0], k[0], k[1]);
            Mma<M>(s[m][2 * j + 1], q[m][0], k[2], k[3]);
          }
        }
      }
    }

    if (AdjustsScores(a)) {
#pragma unroll
      for (int m = 0; m < kM; ++m) {
#pragma unroll
        for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int key = tile * kTileKeys + 8 * j + 2 * (lane % 4) + i % 2;
            const int row = first_row + 16 * (kM * warp + m) + lane / 4 + 8 * (i / 2);
            const int head = g * heads + min(row, span.rows - 1) % heads;
            s[m][j][i] = AdjustScore(a, s[m][j][i], head, position[m][i / 2] - key);
          }
        }
      }
    }
    if ((tile + 1) * kTileKeys > span.cached + first_row / heads + 1 || a.window > 0) {
#pragma unroll
      for (int m = 0; m < kM; ++m) {
#pragma unroll
        for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int key = tile * kTileKeys + 8 * j + 2 * (lane % 4) + i % 2;
            const int p = position[m][i / 2];
            if (key > p || (a.window > 0 && key <= p - a.window)) s[m][j][i] = -INFINITY;
          }
        }
      }
    }
    float shift[kM][2];  // of this tile's exponents
#pragma unroll
    for (int m = 0; m < kM; ++m) {
      float highest[2] = {largest[m][0], largest[m][1]};
#pragma unroll
      for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) highest[i / 2] = fmaxf(highest[i / 2], s[m][j][i]);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        highest[i] = fmaxf(highest[i], __shfl_xor_sync(~0u, highest[i], 1));
        highest[i] = fmaxf(highest[i], __shfl_xor_sync(~0u, highest[i], 2));
        // A row that has seen no key yet keeps sums of zero.
        shift[m][i] = highest[i] == -INFINITY ? 0.0f : highest[i] * a.scale;
      }
      // Maxima seldom move after the first tiles.
      if (__any_sync(~0u, highest[0] != largest[m][0] || highest[1] != largest[m][1])) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float shrink = Shrink(largest[m][i], a.scale, shift[m][i]);
          total[m][i] *= shrink;
          largest[m][i] = highest[i];
#pragma unroll
          for (int c = 0; c < D / 8; ++c) {
            out[m][c][2 * i] *= shrink;
            out[m][c][2 * i + 1] *= shrink;
          }
        }
      }
    }
#pragma unroll
    for (int j = 0; j < kKeyTiles / 2; ++j) {
      uint32_t weights[kM][4];
#pragma unroll
      for (int m = 0; m < kM; ++m) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          float(&v)[4] = s[m][2 * j + h];
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            v[i] = Exp2(fmaf(v[i], a.scale, -shift[m][i / 2]));
            total[m][i / 2] += v[i];
          }
          weights[m][2 * h] = PackPair<M>(v[0], v[1]);
          weights[m][2 * h + 1] = PackPair<M>(v[2], v[3]);
        }
      }
#pragma unroll
      for (int c = 0; c < D / 16 / kHalves; ++c) {
        uint32_t v[4];
        LoadMatricesTransposed(at + value_at + 16 * j * Loader::kRowBytes + 32 * c, v);
        if constexpr (kIsE4m3<C>) {
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const F16Pairs first = ExpandE4m3Columns(v[2 * h]);
            const F16Pairs second = ExpandE4m3Columns(v[2 * h + 1]);
#pragma unroll
            for (int m = 0; m < kM; ++m) {
              Mma<M>(out[m][4 * c + 2 * h], weights[m], first.low, second.low);
              Mma<M>(out[m][4 * c + 2 * h + 1], weights[m], first.high, second.high);
            }
          }
        } else {
#pragma unroll
          for (int m = 0; m < kM; ++m) {
            Mma<M>(out[m][2 * c], weights[m], v[0], v[1]);
            Mma<M>(out[m][2 * c + 1], weights[m], v[2], v[3]);
          }
        }
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int m = 0; m < kM; ++m) {
    Settle<C>(out[m]);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float sum = total[m][i];
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      const int row = first_row + 16 * (kM * warp + m) + lane / 4 + 8 * i;
      if (row >= span.rows) continue;
      const float inverse = 1.0f / sum;
      T* to = OutputRow<T>(a, span.begin, g, row);
#pragma unroll
      for (int c = 0; c < D / 8; ++c) {
        const int column = SumColumn<C>(c, lane);
        if (column >= a.d) continue;
        *reinterpret_cast<uint32_t*>(to + column) =
            PackPair<T>(out[m][c][2 * i] * inverse, out[m][c][2 * i + 1] * inverse);
      }
    }
  }
}

}  // namespace awq::cuda
