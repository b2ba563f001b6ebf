// Attention of many rows on sm_90a, heads of up to 256 elements. A block has 128 rows, 64 a
// warpgroup; one more warp fills a ring of two tiles of keys and two of values, 128 keys each, by
// the copy engine, a page's 16 keys × 64 elements at a time, swizzled as wgmma reads them. Of a
// cache of E4M3 four warps do that: they copy the bytes of the next tile, expand those of this one
// to f16, and store them as the copy engine would. Queries, scores, weights and sums stay in
// registers; while one warpgroup's scores become weights, the tensor cores have the other's
// products (FlashAttention-3, arXiv:2407.08608). Heads of more than 128 elements have their queries
// in shared memory, and 64 keys a tile. Blocks go on to other rows (attention_row_tiles.cuh), whose
// keys are asked for before these rows are done.
//
// bound   tensor cores, which hold up all other instructions
#pragma once

#include "awq/backend/cuda/attention_ring.cuh"
#include "awq/backend/cuda/attention_row_tiles.cuh"
#include "awq/backend/cuda/wgmma.cuh"

namespace awq::cuda {

inline constexpr int kWgmmaThreads = 384;
// Of a key, as long as a row's largest score is not looked for again.
inline constexpr float kMostWeight = 256.0f;

// The larger of two pairs, one by one.
template <typename M>
__device__ inline uint32_t MaxPair(uint32_t a, uint32_t b);
template <>
__device__ inline uint32_t MaxPair<__half>(uint32_t a, uint32_t b) {
  const __half2 v =
      __hmax2(reinterpret_cast<const __half2&>(a), reinterpret_cast<const __half2&>(b));
  return reinterpret_cast<const uint32_t&>(v);
}
template <>
__device__ inline uint32_t MaxPair<__nv_bfloat16>(uint32_t a, uint32_t b) {
  const __nv_bfloat162 v = __hmax2(reinterpret_cast<const __nv_bfloat162&>(a),
                                   reinterpret_cast<const __nv_bfloat162&>(b));
  return reinterpret_cast<const uint32_t&>(v);
}

// Of the first tile of kKeys, in whole tiles: the sums of a row do not depend on the first row.
template <int kKeys>
__device__ inline int FirstKey(const KeySpan& span) {
  return span.tile_begin * kTileKeys / kKeys * kKeys;
}

// What LoadQueries loads, as SwizzledRows of a warpgroup's 64 rows; by each warp its own.
template <typename T, typename M, int D>
__device__ inline void StoreQueries(const AttentionShape& a, const KeySpan& span, int g,
                                    int first_row, uint32_t to, int (&position)[2]) {
  constexpr int kChunks = D / 8;  // of a row
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int in_group = static_cast<int>(threadIdx.x) / 32 % 4 * 16;  // the first row there
  const int heads = a.heads / a.kv_heads;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    position[i] = span.cached + min(first_row + lane / 4 + 8 * i, span.rows - 1) / heads;
  }
#pragma unroll 4
  for (int i = lane; i < 16 * kChunks; i += 32) {
    const int r = i / kChunks;
    const int chunk = i % kChunks;
    const int row = min(first_row + r, span.rows - 1);
    const auto* from = reinterpret_cast<const uint32_t*>(
        static_cast<const T*>(a.q) + (span.begin + row / heads) * a.q_stride +
        (g * heads + row % heads) * a.d + 8 * chunk);
    uint32_t v[4] = {};
    if (8 * chunk < a.d) {
#pragma unroll
      for (int j = 0; j < 4; ++j) v[j] = ConvertPair<M, T>(from[j]);
    }
    StoreShared(
        to + chunk / 8 * (kWarpgroupRows * 128) + (in_group + r) * 128 + (chunk % 8 ^ r % 8) * 16,
        v[0], v[1], v[2], v[3]);
  }
}

// LoadQueries of what all heads' keys share.
template <typename T, int kShared>
__device__ inline void LoadSharedQueries(const AttentionShape& a, const LatentSource& latent,
                                         const KeySpan& span, int head, int first_row,
                                         uint32_t (&q)[kShared / 16 + 1][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = min(first_row + lane / 4 + 8 * i, span.rows - 1);
    const T* from = static_cast<const T*>(latent.q) + (span.begin + row) * latent.q_stride +
                    head * kShared + 2 * (lane % 4);
#pragma unroll
    for (int s = 0; s < kShared / 16; ++s) {
      q[s][i] = *reinterpret_cast<const uint32_t*>(from + 16 * s);
      q[s][i + 2] = *reinterpret_cast<const uint32_t*>(from + 16 * s + 8);
    }
  }
}

// D: head size, rounded up to 64, 128 or 256. keys, values: not of E4M3. items: row tiles of all
// prompts, of each kv head. kShared: of a LatentSource, else 0.
template <typename T, typename C, int D, int kShared>
__device__ __forceinline__ void AttendRowTiles(const AttentionShape& a, const CUtensorMap* keys,
                                               const CUtensorMap* values, int items,
                                               const LatentSource& latent) {
#if AWQ_SM90A
  using M = Operand<C>;
  constexpr bool kLarge = IsLargeHead(D);
  constexpr int kKeys = WgmmaKeys(D);
  constexpr int kConsumers = 8;  // warps
  constexpr int kFillers = kIsE4m3<C> ? kAttentionWarps : 1;
  // Registers a thread: of the others, and what that leaves of 168; more would never come.
  constexpr int kGiven = kShared > 0 || kLarge ? 24 : 56;
  constexpr int kTaken = 168 + (168 - kGiven) / 2;
  extern __shared__ uint8_t dynamic[];
  __shared__ uint64_t barriers[8 + 2 * RowTileQueue::kPlaces];
  __shared__ RowTile places[RowTileQueue::kPlaces];
  AllowNextKernel();
  const int heads = a.heads / a.kv_heads;
  const uint32_t tiles = (SharedAddress(dynamic) + 1023) / 1024 * 1024;
  const KeyRing ring = {tiles, SharedAddress(barriers), 2 * kKeys * (D + kShared), 2 * kKeys * D};
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
      const int first_key = FirstKey<kKeys>(rows.span);
      if constexpr (kShared > 0) {
        filled = FillLatentRing<D, kShared>(latent, ring, keys, values, a.table[rows.sequence],
                                            rows.g, rows.span.end_key, filled);
      } else if constexpr (kIsE4m3<C>) {
        filled = ExpandIntoRing<C, D>(a, ring, rows.sequence, rows.g, first_key, rows.span.end_key,
                                      filled);
      } else {
        filled = FillRing<D>(a, ring, keys, values, a.table + rows.sequence * a.table_stride,
                             rows.g, first_key, rows.span.end_key, filled);
      }
      if (warp == kConsumers) queue.Put(a, n, items, a.finished + a.sequences * a.kv_heads);
      rows = queue.Take(n);
    }
    return;
  }
  TakeRegisters<kTaken>();

  const KeySpan& span = rows.span;
  int first_key = FirstKey<kKeys>(span);
  int base = 0;  // of the ring's tiles
  constexpr int kSteps = D / 16;
  uint32_t q[kLarge ? 1 : kSteps][4];
  // Of a large head: this warpgroup's.
  const uint32_t queries =
      tiles + 2 * (ring.key_bytes + ring.value_bytes) + warp / 4 * (kWarpgroupRows * 2 * D);
  uint32_t shared_q[kShared / 16 + 1][4];
  int position[2];
  const auto load_queries = [&](const RowTile& tile) {
    const int first_row = tile.first_row + 16 * warp;
    if constexpr (kLarge) {
      NamedBarrier(2 + warp / 4, 128);  // products with those before are done
      StoreQueries<T, M, D>(a, tile.span, tile.g, first_row, queries, position);
      AsyncProxyFence();
      NamedBarrier(2 + warp / 4, 128);
    } else {
      LoadQueries<T, M, 2, D>(a, tile.span, tile.g, first_row, q, position);
    }
    if constexpr (kShared > 0) {
      LoadSharedQueries<T, kShared>(a, latent, tile.span, tile.g, first_row, shared_q);
    }
  };
  load_queries(rows);
  float out[D / 2];
  float s[kKeys / 2];
  uint32_t weights[kKeys / 16][4];
  // Of two rows: what is taken off exponents, the largest score times scale or a little less;
  // weights of this lane's keys; those of a tile, and the largest of them, a pair.
  float shift[2] = {};
  float total[2] = {};
  float sum[2] = {};
  uint32_t most[2] = {};
  float shrink[2] = {};

  const auto multiply_keys = [&](int tile) {
    ring.WaitFull(base + tile, 0);
    const uint64_t k = SwizzledRows(ring.Tile(base + tile, 0));
    WgmmaFence();
    if constexpr (kLarge) {
      const uint64_t rows_of_q = SwizzledRows(queries);
      WgmmaOfShared<M, false>(s, rows_of_q, k);
#pragma unroll
      for (int i = 1; i < kSteps; ++i) {
        WgmmaOfShared<M>(s, rows_of_q + i / 4 * (kWarpgroupRows * 128 / 16) + i % 4 * 2,
                         k + i / 4 * (kKeys * 128 / 16) + i % 4 * 2);
      }
    } else {
      Wgmma<M, kKeys, false>(s, q[0], k);
#pragma unroll
      for (int i = 1; i < kSteps; ++i) {
        Wgmma<M, kKeys>(s, q[i], k + i / 4 * (kKeys * 128 / 16) + i % 4 * 2);
      }
    }
#pragma unroll
    for (int i = 0; i < kShared / 16; ++i) {
      const int at = kSteps + i;
      Wgmma<M, kKeys>(s, shared_q[i], k + at / 4 * (kKeys * 128 / 16) + at % 4 * 2);
    }
    WgmmaCommit();
  };
  // Caps, slopes and masks.
  const auto adjust = [&](int tile) {
    const int key0 = first_key + tile * kKeys + 2 * (lane % 4);
    if (kShared == 0 && a.cap > 0.0f) {
#pragma unroll
      for (int i = 0; i < kKeys / 2; ++i) s[i] = CapScore(a, s[i]);
    }
    if (kShared == 0 && a.slopes != nullptr) {
      float slope[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int row = min(rows.first_row + 16 * warp + lane / 4 + 8 * r, span.rows - 1);
        slope[r] = SlopeOf(a, rows.g * heads + row % heads);
      }
#pragma unroll
      for (int i = 0; i < kKeys / 2; ++i) {
        const int r = i / 2 % 2;
        s[i] -= slope[r] * static_cast<float>(position[r] - (key0 + i / 4 * 8 + i % 2));
      }
    }
    if (first_key + (tile + 1) * kKeys > span.cached + rows.first_row / heads + 1 ||
        (kShared == 0 && a.window > 0)) {
#pragma unroll
      for (int i = 0; i < kKeys / 2; ++i) {
        const int key = key0 + i / 4 * 8 + i % 2;
        const int p = position[i / 2 % 2];
        if (key > p || (kShared == 0 && a.window > 0 && key <= p - a.window)) s[i] = -INFINITY;
      }
    }
  };
  // Scores become weights by the shifts that there are.
  const auto weigh = [&] {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      sum[r] = 0.0f;
      most[r] = 0;
    }
    // A row that has seen no key yet has weights of zero.
    const float by[2] = {shift[0] == -INFINITY ? 0.0f : shift[0],
                         shift[1] == -INFINITY ? 0.0f : shift[1]};
#pragma unroll
    for (int i = 0; i < kKeys / 4; ++i) {
      const int r = i % 2;
      const float u = Exp2(fmaf(s[2 * i], a.scale, -by[r]));
      const float v = Exp2(fmaf(s[2 * i + 1], a.scale, -by[r]));
      sum[r] += u;
      sum[r] += v;
      weights[i / 4][i % 4] = PackPair<M>(u, v);
      most[r] = MaxPair<M>(most[r], weights[i / 4][i % 4]);
    }
  };
  // Whether a row's shift must follow its scores: by what this lane has of it.
  const auto outgrows = [&](int r) {
    const auto& v = reinterpret_cast<const Pack<M, 2>&>(most[r]).v;
    return shift[r] == -INFINITY || fmaxf(ToFloat(v[0]), ToFloat(v[1])) > kMostWeight;
  };
  // Lets it; shrink: what has been added up before is to be multiplied with.
  const auto raise = [&] {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      bool follows = outgrows(r);
      float halves[2] = {-INFINITY, -INFINITY};
#pragma unroll
      for (int i = 0; i < kKeys / 4; ++i) {
        halves[i % 2] = fmaxf(halves[i % 2], s[i / 2 * 4 + 2 * r + i % 2]);
      }
      float highest = fmaxf(halves[0], halves[1]);
#pragma unroll
      for (int lanes = 1; lanes < 4; lanes *= 2) {
        highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, lanes));
        follows = __shfl_xor_sync(~0u, follows, lanes) || follows;
      }
      const float next = follows ? highest * a.scale : shift[r];
      shrink[r] = next == -INFINITY ? 1.0f : Exp2(shift[r] - next);
      shift[r] = next;
    }
  };
  // Keys past the last have weights of 0, which their values, whatever they are, must not spoil
  // (those of E4M3 are zeros).
  const auto clear_values = [&](int tile) {
    if constexpr (!kIsE4m3<C>) {
      const int left = span.end_key - first_key - tile * kKeys;
      if (left >= kKeys) return;
      for (int i = static_cast<int>(threadIdx.x); i < (kKeys - left) * (D / 8);
           i += 32 * kConsumers) {
        const int row = left + i / (D / 8);
        const int chunk = i % (D / 8);
        StoreShared(
            ring.Tile(base + tile, 1) + chunk / 8 * (kKeys * 128) + row * 128 + chunk % 8 * 16, 0,
            0, 0, 0);
      }
      AsyncProxyFence();
      NamedBarrier(1, 32 * kConsumers);
    }
  };

  const auto multiply_values = [&](int tile) {
    const uint64_t v = SwizzledInputs(ring.Tile(base + tile, 1), kKeys * 128);
    WgmmaFence();
#pragma unroll
    for (int i = 0; i < kKeys / 16; ++i) {
      Wgmma<M, D, true, true>(out, weights[i], v + i * (16 * 128 / 16));
    }
    WgmmaCommit();
  };

  for (int n = 0; rows.sequence >= 0; ++n) {
    const int last = (span.end_key - first_key - 1) / kKeys;
    shift[0] = shift[1] = -INFINITY;
#pragma unroll
    for (int i = 0; i < D / 2; ++i) out[i] = 0.0f;
    multiply_keys(0);
    WgmmaWait<0>();
    WgmmaDone(s);
    if (lane == 0) BarrierArrive(ring.Empty(base, 0));
    adjust(0);
    raise();
    weigh();
    total[0] = sum[0];
    total[1] = sum[1];
#pragma unroll 1
    for (int tile = 0; tile < last; ++tile) {
      multiply_keys(tile + 1);
      ring.WaitFull(base + tile, 1);
      multiply_values(tile);
      WgmmaWait<1>();
      WgmmaDone(s);
      if (lane == 0) BarrierArrive(ring.Empty(base + tile + 1, 0));
      WgmmaWait<0>();
      WgmmaDone(out);
      if (lane == 0) BarrierArrive(ring.Empty(base + tile, 1));
      adjust(tile + 1);
      weigh();
      if (__any_sync(~0u, outgrows(0) || outgrows(1))) {
        raise();
#pragma unroll
        for (int r = 0; r < 2; ++r) total[r] *= shrink[r];
#pragma unroll
        for (int i = 0; i < D / 2; ++i) out[i] *= shrink[i / 2 % 2];
        weigh();
      }
#pragma unroll
      for (int r = 0; r < 2; ++r) total[r] += sum[r];
    }
    ring.WaitFull(base + last, 1);
    clear_values(last);
    multiply_values(last);
    const RowTile next = queue.Take(n);
    if (next.sequence >= 0) load_queries(next);
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
    first_key = FirstKey<kKeys>(span);
    base += last + 1;
  }
#endif
}

// grid (blocks that fit, or items if those are fewer).
template <typename T, typename C, int D>
__global__ void __launch_bounds__(kWgmmaThreads, 1)
    WgmmaAttention(const AttentionShape a, const __grid_constant__ CUtensorMap keys,
                   const __grid_constant__ CUtensorMap values, int items) {
  AttendRowTiles<T, C, D, 0>(a, &keys, &values, items, {});
}

}  // namespace awq::cuda
