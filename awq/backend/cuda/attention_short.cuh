// Attention of at most 16 rows: decoding. No shared memory and no barrier while keys are read: the
// four warps of a block take 16 keys in turn, and what a lane loads from global memory, 16 bytes at
// a time, is its share of the operands of the products:
//   scores[row, key]: the elements of a head may come in any order, as long as queries and keys
//     agree, so that 8 neighbours of a key are what one lane holds of it in two products;
//   sums[element, row]: values are the left operand, whose pairs are of two neighbouring keys, put
//     together from two loads by byte permutations; the weights are, as they come, the right one.
// The next keys are asked for as soon as these are multiplied, and then the next values. Warps meet
// in shared memory at the end of a part of a sequence's keys; those of the next part are asked for
// before. The parts of a sequence are a cluster that meets in its shared memory, or, where
// sequences share thread blocks or parts are too many, the last block to finish adds what all
// wrote. Elements of E4M3 are expanded to f16 between load and product.
// bound   memory: 4·G·d bytes a key, half of them in E4M3
#pragma once

#include "awq/backend/cuda/attention_combine.cuh"

namespace awq::cuda {

inline constexpr int kStepKeys = 16;  // of a warp; a page has a multiple of them

// Two or four words that are used once; zeros when not `inside`.
__device__ inline void LoadOnce(const void* from, bool inside, uint32_t (&v)[4]) {
  v[0] = v[1] = v[2] = v[3] = 0;
  if (inside) {
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                 : "l"(from)
                 : "memory");
  }
}
__device__ inline void LoadOnce(const void* from, bool inside, uint32_t (&v)[2]) {
  v[0] = v[1] = 0;
  if (inside) {
    asm volatile("ld.global.L1::no_allocate.v2.u32 {%0,%1}, [%2];"
                 : "=r"(v[0]), "=r"(v[1])
                 : "l"(from)
                 : "memory");
  }
}

// Elements 4 · part … 4 · part + 3 of a lane's load of a key, as two pairs.
template <typename C>
__device__ inline F16Pairs KeyPairs(const uint32_t (&load)[4], int part) {
  if constexpr (kIsE4m3<C>) {
    return ExpandE4m3(load[part]);
  } else {
    return {load[2 * part], load[2 * part + 1]};
  }
}
// Columns 2 · i and 2 · i + 1 of two keys, a pair a column.
template <typename C, int kWords>
__device__ inline F16Pairs ColumnPairs(const uint32_t (&first)[kWords],
                                       const uint32_t (&second)[kWords], int i) {
  if constexpr (kIsE4m3<C>) {
    return ExpandE4m3(__byte_perm(first[i / 2], second[i / 2], i % 2 == 0 ? 0x5140 : 0x7362));
  } else {
    return {__byte_perm(first[i], second[i], 0x5410), __byte_perm(first[i], second[i], 0x7632)};
  }
}

// D: head size, rounded up to what is compiled, kWhole: not rounded; kRows: most rows, 8 or 16;
// kShares: by TileShares. kAttentionWarps: of a block. grid (1, G, B · splits or columns);
// `clustered`: the splits of a sequence are a cluster.
template <typename T, typename C, int D, bool kWhole, int kRows, bool kShares>
__global__ void __launch_bounds__(32 * kAttentionWarps, D <= 128 && kRows == 8 ? 3 : 2)
    ShortAttention(const AttentionShape a, bool clustered) {
  if constexpr (kShares) clustered = false;
  constexpr int kHalves = kRows / 8;  // of 8 rows
  using M = Operand<C>;
  constexpr int kElements = 16 / sizeof(C);            // of a key, a load of a lane
  constexpr int kAcross = D / (4 * kElements);         // loads of four lanes
  constexpr int kDown = D / 64;                        // loads of 64 elements of a value
  constexpr int kWords = 2 * sizeof(C);                // of a lane's share of them
  constexpr bool kValuesAhead = D * sizeof(C) <= 256;  // else there are too few registers
  __shared__ __align__(16) float sums[kAttentionWarps][kRows][D];
  __shared__ float2 stats[kAttentionWarps][kRows];  // (max, sum)
  __shared__ float2 merged[kRows];                  // of all warps
  const int d = kWhole ? D : a.d;
  using Parts = std::conditional_t<kShares, TileShares<kRows>, OnePart<kRows>>;
  __shared__ int ends[Parts::kInts];
  Parts parts(a, ends);
  if (!parts.HasMore()) return;
  const int g = static_cast<int>(blockIdx.y);
  const int heads = a.heads / a.kv_heads;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int quad = lane / 4;
  const int pair = lane % 4;

  KeySpan span{};
  Part part = parts.Next(a, span);
  int step = 0, end_step = 0, next_page = 0;  // of this warp
  int64_t at = 0;
  const int* table = nullptr;
  const auto page_of = [&](int s) {
    return s < end_step ? __ldg(table + (kStepKeys * s >> a.page_shift)) : 0;
  };
  // Where a step's keys and values begin, in elements.
  const auto place = [&](int s, int page) {
    const int slot = kStepKeys * s & (a.page_size - 1);
    return ((int64_t{page} * a.kv_heads + g) * a.page_size + slot) * d;
  };
  uint32_t keys[2][kAcross][4];  // of keys quad, quad + 8
  const auto load_keys = [&](int64_t first) {
    const C* from = static_cast<const C*>(a.keys) + first + quad * d + kElements * pair;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int j = 0; j < kAcross; ++j) {
        LoadOnce(from + 8 * i * d + 4 * kElements * j, kElements * (4 * j + pair) < d, keys[i][j]);
      }
    }
  };
  uint32_t values[kDown][4][kWords];  // of keys 2 · pair + {0, 1, 8, 9}
  const auto load_values = [&](int64_t first, int s, int h) {
    const C* from = static_cast<const C*>(a.values) + first + 2 * pair * d + 64 * h + 8 * quad;
    const int left = span.end_key - kStepKeys * s - 2 * pair;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int key = i % 2 + 8 * (i / 2);
      LoadOnce(from + key * d, key < left && 64 * h + 8 * quad < d, values[h][i]);
    }
  };

  const auto find = [&] {
    end_step = min(kAttentionWarps * span.tile_end, (span.end_key + kStepKeys - 1) / kStepKeys);
    table = a.table + part.sequence * a.table_stride;
    step = kAttentionWarps * span.tile_begin + warp;
    at = place(step, page_of(step));
    next_page = page_of(step + kAttentionWarps);
  };
  find();
  // What other steps have stored was there before this step's first kernel; what this one stores,
  // and queries, are there once the previous kernel has ended.
  const bool early = kStepKeys * (step + 1) <= span.cached;
  const auto begin = [&] {
    if (step >= end_step) return;
    load_keys(at);
#pragma unroll
    for (int h = 0; h < kDown; ++h) {
      if (kValuesAhead) load_values(at, step, h);
    }
  };
  if (early) begin();
  WaitForPreviousKernel();
  AllowNextKernel();  // not before: the weights that it asks for would hold up the keys
  if (!early) begin();

  __shared__ Part left_parts[2];  // whose sums others are to meet
  int left = 0;
  for (;;) {
    // Rows quad, and quad + 8: the elements of a key that this lane has, in pairs.
    uint32_t q[kHalves][kAcross][kElements / 2];
    int position[kHalves];
#pragma unroll
    for (int n = 0; n < kHalves; ++n) {
      const int row = min(quad + 8 * n, span.rows - 1);
      position[n] = span.cached + row / heads;
      const T* from = static_cast<const T*>(a.q) + (span.begin + row / heads) * a.q_stride +
                      (g * heads + row % heads) * d + kElements * pair;
#pragma unroll
      for (int j = 0; j < kAcross; ++j) {
#pragma unroll
        for (int i = 0; i < kElements / 2; ++i) {
          q[n][j][i] = kElements * (4 * j + pair) < d
                           ? ConvertPair<M, T>(*reinterpret_cast<const uint32_t*>(
                                 from + 4 * kElements * j + 2 * i))
                           : 0;
        }
      }
    }

    // Elements 64 · h + 8 · quad + 2 · i + {0, 1} of rows 8 · n + 2 · pair + {0, 1}.
    float out[kHalves][kDown][4][4] = {};
    float largest[kHalves];
    float total[kHalves] = {};  // of this lane's keys
#pragma unroll
    for (int n = 0; n < kHalves; ++n) largest[n] = -INFINITY;

    for (; step < end_step; step += kAttentionWarps) {
      float s[2][4] = {};  // rows quad, quad + 8; keys 8 · i + 2 · pair + {0, 1}
#pragma unroll
      for (int j = 0; j < kAcross; ++j) {
#pragma unroll
        for (int p = 0; p < kElements / 4; ++p) {
          const uint32_t rows[4] = {q[0][j][2 * p], kHalves > 1 ? q[kHalves - 1][j][2 * p] : 0,
                                    q[0][j][2 * p + 1],
                                    kHalves > 1 ? q[kHalves - 1][j][2 * p + 1] : 0};
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            const F16Pairs key = KeyPairs<C>(keys[i][j], p);
            Mma<M>(s[i], rows, key.low, key.high);
          }
        }
      }
      const int next = step + kAttentionWarps;
      const int64_t next_at = place(next, next_page);
      if (next < end_step) load_keys(next_at);
      next_page = page_of(next + kAttentionWarps);

      uint32_t weights[kHalves][2];
#pragma unroll
      for (int n = 0; n < kHalves; ++n) {
        float higher = largest[n];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& score = s[i / 2][2 * n + i % 2];
          const int key = kStepKeys * step + 8 * (i / 2) + 2 * pair + i % 2;
          if (AdjustsScores(a)) {
            const int row = min(quad + 8 * n, span.rows - 1);
            score = AdjustScore(a, score, g * heads + row % heads, position[n] - key);
          }
          if (key > position[n] || (a.window > 0 && key <= position[n] - a.window))
            score = -INFINITY;
          higher = fmaxf(higher, score);
        }
        higher = fmaxf(higher, __shfl_xor_sync(~0u, higher, 1));
        higher = fmaxf(higher, __shfl_xor_sync(~0u, higher, 2));
        const float shift = higher == -INFINITY ? 0.0f : higher * a.scale;
        if (__any_sync(~0u, higher > largest[n])) {
          const float shrink = Exp2(largest[n] * a.scale - shift);
          total[n] *= shrink;
          largest[n] = higher;
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            const float factor = __shfl_sync(~0u, shrink, 4 * (2 * pair + r));
#pragma unroll
            for (int c = 0; c < 4 * kDown; ++c) {
              out[n][c / 4][c % 4][r] *= factor;
              out[n][c / 4][c % 4][2 + r] *= factor;
            }
          }
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float u = Exp2(fmaf(s[i][2 * n], a.scale, -shift));
          const float v = Exp2(fmaf(s[i][2 * n + 1], a.scale, -shift));
          total[n] += u + v;
          weights[n][i] = PackPair<M>(u, v);
        }
      }

#pragma unroll
      for (int h = 0; h < kDown; ++h) {
        if (!kValuesAhead) load_values(at, step, h);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const F16Pairs near = ColumnPairs<C>(values[h][0], values[h][1], i);
          const F16Pairs far = ColumnPairs<C>(values[h][2], values[h][3], i);
          const uint32_t pairs[4] = {near.low, near.high, far.low, far.high};
#pragma unroll
          for (int n = 0; n < kHalves; ++n) {
            Mma<M>(out[n][h][i], pairs, weights[n][0], weights[n][1]);
          }
        }
        if (kValuesAhead && next < end_step) load_values(next_at, next, h);
      }
      at = next_at;
    }

#pragma unroll
    for (int n = 0; n < kHalves; ++n) {
      total[n] += __shfl_xor_sync(~0u, total[n], 1);
      total[n] += __shfl_xor_sync(~0u, total[n], 2);
      if (pair == 0) stats[warp][8 * n + quad] = make_float2(largest[n], total[n]);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
#pragma unroll
        for (int h = 0; h < kDown; ++h) {
          auto* to =
              reinterpret_cast<float4*>(&sums[warp][8 * n + 2 * pair + r][64 * h + 8 * quad]);
          to[0] = make_float4(out[n][h][0][r], out[n][h][0][2 + r], out[n][h][1][r],
                              out[n][h][1][2 + r]);
          to[1] = make_float4(out[n][h][2][r], out[n][h][2][2 + r], out[n][h][3][r],
                              out[n][h][3][2 + r]);
        }
      }
    }
    const Part done = part;
    const int first_token = span.begin;
    const int rows = span.rows;
    const bool more = parts.HasMore();
    if (more) {
      part = parts.Next(a, span);
      find();
      begin();
    }
    __syncthreads();
    MergeWarps<T>(a, done, g, first_token, rows, d, sums, stats, merged, clustered);
    if (clustered) {
      return CombineCluster<T, D>(a, g, first_token, rows, done.index, SharedAddress(sums),
                                  SharedAddress(merged));
    }
    if (done.count > 1) {
      if (threadIdx.x == 0) left_parts[left] = done;
      ++left;
    }
    if (!more) break;
    __syncthreads();  // the warps' sums have been read
  }
  if (left > 0) CombineParts<T>(a, left_parts, left, g);
}

}  // namespace awq::cuda
