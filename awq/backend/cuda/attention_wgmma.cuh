// Attention of many rows on sm_90a, heads of up to 128 elements. A block has 128 rows, 64 a
// warpgroup; one more warp fills a ring of two tiles of keys and two of values, 128 keys each, by
// the copy engine, a page's 16 keys × 64 elements at a time, swizzled as wgmma reads them. Of a
// cache of E4M3 four warps do that: they copy the bytes of the next tile, expand those of this one
// to f16, and store them as the copy engine would. Queries, scores, weights and sums stay in
// registers; while one warpgroup's scores become weights, the tensor cores have the other's
// products (FlashAttention-3, arXiv:2407.08608). Blocks go on to other rows (attention_rows.cuh),
// whose keys are asked for before these rows are done. bound   tensor cores, then exponentials
#pragma once

#include "awq/backend/cuda/attention_ring.cuh"
#include "awq/backend/cuda/attention_rows.cuh"
#include "awq/backend/cuda/wgmma.cuh"

namespace awq::cuda {

inline constexpr int kWgmmaThreads = 384;
inline constexpr float kMostGrowth = 8.0f;  // of a row's weights above 1, log2

// Of the first tile of keys, in whole tiles: the sums of a row do not depend on the first row.
__device__ inline int FirstKey(const KeySpan& span) {
  return span.tile_begin * kTileKeys / kWgmmaKeys * kWgmmaKeys;
}

// D: head size, rounded up to 64 or 128. keys, values: not of E4M3. items: row tiles of all
// prompts, of each kv head. grid (blocks that fit, or items if those are fewer).
template <typename T, typename C, int D>
__global__ void __launch_bounds__(kWgmmaThreads, 1)
    WgmmaAttention(const AttentionShape a, const __grid_constant__ CUtensorMap keys,
                   const __grid_constant__ CUtensorMap values, int items) {
#if AWQ_SM90A
  using M = Operand<C>;
  constexpr int kConsumers = 8;  // warps
  constexpr int kFillers = kIsE4m3<C> ? kAttentionWarps : 1;
  // Registers a thread: of the others, and what that leaves of 168; more would never come.
  constexpr int kGiven = 56;
  constexpr int kTaken = 168 + (168 - kGiven) / 2;
  extern __shared__ uint8_t dynamic[];
  __shared__ uint64_t barriers[8 + 2 * RowTileQueue::kPlaces];
  __shared__ RowTile places[RowTileQueue::kPlaces];
  AllowNextKernel();
  const int heads = a.heads / a.kv_heads;
  const uint32_t tiles = (SharedAddress(dynamic) + 1023) / 1024 * 1024;
  const KeyRing ring = {tiles, SharedAddress(barriers), 2 * kWgmmaKeys * D};
  const RowTileQueue queue(places, SharedAddress(barriers + 8));
  if (threadIdx.x == 0) {
    queue.Init(kConsumers + kFillers);
    for (int tile = 0; tile < 2; ++tile) {
      for (int which = 0; which < 2; ++which) {
        BarrierInit(ring.Full(tile, which), kFillers);
        BarrierInit(ring.Empty(tile, which), kConsumers);
      }
    }
    BarrierInitFence();
  }
  __syncthreads();
  RowTile rows = FindRowTile(a, static_cast<int>(blockIdx.x));
  WaitForPreviousKernel();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (warp >= kConsumers) {
    GiveRegisters<kGiven>();
    if (warp >= kConsumers + kFillers) return;
    int filled = 0;
    for (int n = 0; rows.sequence >= 0; ++n) {
      const int first_key = FirstKey(rows.span);
      if constexpr (kIsE4m3<C>) {
        filled = ExpandIntoRing<C, D>(a, ring, rows.sequence, rows.g, first_key, rows.span.end_key,
                                      filled);
      } else {
        filled = FillRing<D>(a, ring, &keys, &values, a.table + rows.sequence * a.table_stride,
                             rows.g, first_key, rows.span.end_key, filled);
      }
      if (warp == kConsumers) queue.Put(a, n, items, a.finished + a.sequences * a.kv_heads);
      rows = queue.Take(n);
    }
    return;
  }
  TakeRegisters<kTaken>();

  KeySpan span = rows.span;
  int first_key = FirstKey(span);
  int base = 0;  // of the ring's tiles
  uint32_t q[D / 16][4];
  int position[2];
  LoadQueries<T, M, 2, D>(a, span, rows.g, rows.first_row + 16 * warp, q, position);
  float out[D / 2];
  float s[kWgmmaKeys / 2];
  uint32_t weights[kWgmmaKeys / 16][4];
  float largest[2];  // or less, by kMostGrowth / scale
  float total[2];    // of this lane's keys
  float shrink[2];   // of what has been added up before this tile

  const auto multiply_keys = [&](int tile) {
    ring.WaitFull(base + tile, 0);
    const uint64_t k = SwizzledRows(ring.Tile(base + tile, 0));
    WgmmaFence();
    Wgmma<M, kWgmmaKeys, false>(s, q[0], k);
#pragma unroll
    for (int i = 1; i < D / 16; ++i) {
      Wgmma<M, kWgmmaKeys>(s, q[i], k + i / 4 * (kWgmmaKeys * 128 / 16) + i % 4 * 2);
    }
    WgmmaCommit();
  };
  // Scores become weights; largest, total and shrink follow.
  const auto weigh = [&](int tile) {
    const int key0 = first_key + tile * kWgmmaKeys + 2 * (lane % 4);
    if (AdjustsScores(a)) {
#pragma unroll
      for (int i = 0; i < kWgmmaKeys / 2; ++i) {
        const int row = min(rows.first_row + 16 * warp + lane / 4 + 8 * (i / 2 % 2), span.rows - 1);
        const int key = key0 + i / 4 * 8 + i % 2;
        s[i] = AdjustScore(a, s[i], rows.g * heads + row % heads, position[i / 2 % 2] - key);
      }
    }
    if (first_key + (tile + 1) * kWgmmaKeys > span.cached + rows.first_row / heads + 1 ||
        a.window > 0) {
#pragma unroll
      for (int i = 0; i < kWgmmaKeys / 2; ++i) {
        const int key = key0 + i / 4 * 8 + i % 2;
        const int p = position[i / 2 % 2];
        if (key > p || (a.window > 0 && key <= p - a.window)) s[i] = -INFINITY;
      }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most[2] = {-INFINITY, -INFINITY};
#pragma unroll
      for (int i = 0; i < kWgmmaKeys / 4; ++i) {
        most[i % 2] = fmaxf(most[i % 2], s[i / 2 * 4 + 2 * r + i % 2]);
      }
      float highest = fmaxf(most[0], most[1]);
      highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, 1));
      highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, 2));
      // Sums are multiplied anew only where weights would become large: seldom.
      if (!((highest - largest[r]) * a.scale > kMostGrowth)) highest = largest[r];
      // A row that has seen no key yet keeps sums of zero.
      const float shift = highest == -INFINITY ? 0.0f : highest * a.scale;
      shrink[r] = Shrink(largest[r], a.scale, shift);
      largest[r] = highest;
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < kWgmmaKeys / 4; ++i) {
        float& v = s[i / 2 * 4 + 2 * r + i % 2];
        v = Exp2(fmaf(v, a.scale, -shift));
        sum += v;
      }
      total[r] = total[r] * shrink[r] + sum;
    }
  };
  const auto pack_weights = [&] {
#pragma unroll
    for (int i = 0; i < kWgmmaKeys / 4; ++i) {
      weights[i / 4][i % 4] = PackPair<M>(s[2 * i], s[2 * i + 1]);
    }
  };
  // Keys past the last have weights of 0, which their values, whatever they are, must not spoil
  // (those of E4M3 are zeros).
  const auto clear_values = [&](int tile) {
    if constexpr (!kIsE4m3<C>) {
      const int left = span.end_key - first_key - tile * kWgmmaKeys;
      if (left >= kWgmmaKeys) return;
      for (int i = static_cast<int>(threadIdx.x); i < (kWgmmaKeys - left) * (D / 8);
           i += 32 * kConsumers) {
        const int row = left + i / (D / 8);
        const int chunk = i % (D / 8);
        StoreShared(
            ring.Tile(base + tile, 1) + chunk / 8 * (kWgmmaKeys * 128) + row * 128 + chunk % 8 * 16,
            0, 0, 0, 0);
      }
      AsyncProxyFence();
      NamedBarrier(1, 32 * kConsumers);
    }
  };

  const auto multiply_values = [&](int tile) {
    const uint64_t v = SwizzledInputs(ring.Tile(base + tile, 1), kWgmmaKeys * 128);
    WgmmaFence();
#pragma unroll
    for (int i = 0; i < kWgmmaKeys / 16; ++i) {
      Wgmma<M, D, true, true>(out, weights[i], v + i * (16 * 128 / 16));
    }
    WgmmaCommit();
  };

  for (int n = 0; rows.sequence >= 0; ++n) {
    const int last = (span.end_key - first_key - 1) / kWgmmaKeys;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      largest[r] = -INFINITY;
      total[r] = 0.0f;
    }
#pragma unroll
    for (int i = 0; i < D / 2; ++i) out[i] = 0.0f;
    multiply_keys(0);
    WgmmaWait<0>();
    WgmmaDone(s);
    if (lane == 0) BarrierArrive(ring.Empty(base, 0));
    weigh(0);
    pack_weights();
#pragma unroll 1
    for (int tile = 0; tile < last; ++tile) {
      multiply_keys(tile + 1);
      ring.WaitFull(base + tile, 1);
      multiply_values(tile);
      WgmmaWait<1>();
      WgmmaDone(s);
      if (lane == 0) BarrierArrive(ring.Empty(base + tile + 1, 0));
      weigh(tile + 1);
      WgmmaWait<0>();
      WgmmaDone(out);
      if (lane == 0) BarrierArrive(ring.Empty(base + tile, 1));
      if (__any_sync(~0u, shrink[0] != 1.0f || shrink[1] != 1.0f)) {
#pragma unroll
        for (int i = 0; i < D / 2; ++i) out[i] *= shrink[i / 2 % 2];
      }
      pack_weights();
    }
    ring.WaitFull(base + last, 1);
    clear_values(last);
    multiply_values(last);
    const RowTile next = queue.Take(n);
    if (next.sequence >= 0) {
      LoadQueries<T, M, 2, D>(a, next.span, next.g, next.first_row + 16 * warp, q, position);
    }
    WgmmaWait<0>();
    WgmmaDone(out);
    if (lane == 0) BarrierArrive(ring.Empty(base + last, 1));

#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float sum = total[r];
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      const int row = rows.first_row + 16 * warp + lane / 4 + 8 * r;
      if (row >= span.rows) continue;
      const float inverse = 1.0f / sum;
      T* to = OutputRow<T>(a, span.begin, rows.g, row);
#pragma unroll
      for (int c = 0; c < D / 8; ++c) {
        const int column = 8 * c + 2 * (lane % 4);
        if (column >= a.d) continue;
        *reinterpret_cast<uint32_t*>(to + column) =
            PackPair<T>(out[4 * c + 2 * r] * inverse, out[4 * c + 2 * r + 1] * inverse);
      }
    }
    rows = next;
    span = next.span;
    first_key = FirstKey(span);
    base += last + 1;
  }
#endif
}

}  // namespace awq::cuda
