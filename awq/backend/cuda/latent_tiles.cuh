// Latent attention on tensor cores: keys of kSize elements, of which the first kRank are values
// too.
//
// Rows are pairs of a query token and a head: row r of a sequence is token r / H, head r % H, so
// that a thread block reads each key once for 64 (or 16) of them. Eight warps: kRowWarps times 16
// rows, whose kKeyWarps each weigh a share of 64 keys, meet in shared memory, and sum a share of
// the values' columns. Keys may be cut into parts, a block each, all of which run at once: each
// leaves its sums in L2, waits for those of the others, and adds up a share of all columns, in the
// order of the parts.
//
// bound   prompts: shared memory, which hands each element of a key to four warps; single tokens:
//         reading keys, and of few keys the latency of two trips to memory and one to L2
#pragma once

#include "awq/backend/cuda/latent_keys.cuh"
#include "awq/backend/cuda/latent_merge.cuh"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

// Products of 16 rows of queries and a warp's keys.
template <typename T, typename S>
class LatentScores {
 public:
  static constexpr int kTiles = S::kKeys / S::kKeyWarps / 8;  // of 8 keys a warp: 1 or 4
  // Of 16 rows alone all warps want the same queries: those stay in registers.
  static constexpr bool kHoldsQueries = kTiles == 1;
  static constexpr int kSteps = S::kSize / 16;

  // `first`: of the warp's rows.
  __device__ void Take(uint32_t queries, int first) {
    queries_ = queries;
    row_ = first + static_cast<int>(threadIdx.x) % 16;
    if constexpr (kHoldsQueries) {
#pragma unroll
      for (int step = 0; step < kSteps; ++step) Load(step, held_[step]);
    }
  }
  __device__ void Multiply(uint32_t keys, int first_key, float (&s)[kTiles][4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int j = 0; j < kTiles; ++j) s[j][0] = s[j][1] = s[j][2] = s[j][3] = 0.0f;
    if constexpr (kHoldsQueries) {
      float odd[4] = {};  // two chains of products
#pragma unroll
      for (int step = 0; step < kSteps; step += 2) {
        uint32_t k[4];
        LoadMatrices(keys + PlaceOfChunk(first_key + lane % 8, 2 * step + lane / 8, S::kRowBytes),
                     k);
        Mma<T>(s[0], held_[step], k[0], k[1]);
        Mma<T>(odd, held_[step + 1], k[2], k[3]);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) s[0][i] += odd[i];
    } else {
#pragma unroll 4
      for (int step = 0; step < kSteps; ++step) {
        uint32_t q[4];
        Load(step, q);
#pragma unroll
        for (int j = 0; j < kTiles; j += 2) {
          uint32_t k[4];
          LoadMatrices(keys + PlaceOfChunk(first_key + 8 * j + lane % 8 + lane / 16 * 8,
                                           2 * step + lane / 8 % 2, S::kRowBytes),
                       k);
          Mma<T>(s[j], q, k[0], k[1]);
          Mma<T>(s[j + 1], q, k[2], k[3]);
        }
      }
    }
  }

 private:
  __device__ void Load(int step, uint32_t (&q)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    LoadMatrices(queries_ + PlaceOfChunk(row_, 2 * step + lane / 16, S::kRowBytes), q);
  }

  uint32_t queries_;
  int row_;  // whose matrix row this lane addresses
  uint32_t held_[kHoldsQueries ? kSteps : 1][4];
};

// grid (items, parts): tiles of rows of all sequences, one sequence's after another's.
template <typename T, typename S>
__global__ void __launch_bounds__(S::kThreads, 1) LatentTiles(const LatentTilesArgs a) {
  using Scores = LatentScores<T, S>;
  using Merge = LatentMerge<T, S>;
  constexpr int kQuads = Merge::kQuads;
  constexpr int kStages = S::kStages;
  extern __shared__ __align__(128) uint8_t shared[];
  const uint32_t queries = SharedAddress(shared);
  const uint32_t ring = queries + S::kQueryBytes;
  const uint32_t weights = ring + S::kRingBytes;
  auto* meeting = reinterpret_cast<float*>(shared + S::kSharedBytes - S::kStatBytes);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int row_warp = warp % S::kRowWarps;
  const int key_warp = warp / S::kRowWarps;
  const int first_key = key_warp * 8 * Scores::kTiles;  // of the warp's, in a tile
  AllowNextKernel();
  WaitForPreviousKernel();
  const int part = static_cast<int>(blockIdx.y);
  const LatentItem item = FindLatentItem<S>(a, static_cast<int>(blockIdx.x), part);
  if (item.sequence < 0) return;
  CopyLatentQueries<T, S>(a, item, queries);
  AsyncCommit();
  LatentKeyLoader<T, S> loader(a, item);
  const auto slot = [&](int tile) {
    return ring + (tile - item.tile_begin) % kStages * S::kCopiedBytes;
  };
  const uint32_t expanded = ring + kStages * S::kCopiedBytes;
  const auto load = [&](int tile) {
    if (tile < item.tile_end) loader.Copy(slot(tile), tile);
    AsyncCommit();
  };
  for (int s = 0; s < kStages - 1; ++s) load(item.tile_begin + s);
  AsyncWait<kStages - 1>();
  __syncthreads();
  Scores scores;
  scores.Take(queries, 16 * row_warp);

  const auto row_of = [&](int i) { return 16 * row_warp + lane / 4 + 8 * i; };
  int position[2];
  for (int i = 0; i < 2; ++i) {
    position[i] = item.Position(min(item.first_row + row_of(i), item.rows - 1), a.heads);
  }
  // Of a row, to the warps of other keys and from them.
  const auto tell = [&](int i, float v) {
    if (lane % 4 == 0) meeting[key_warp * S::kRows + row_of(i)] = v;
  };
  const auto told = [&](int i, int k) { return meeting[k * S::kRows + row_of(i)]; };
  float out[kQuads][4] = {};
  float largest[2] = {-INFINITY, -INFINITY};
  float total[2] = {};
  for (int t = item.tile_begin; t < item.tile_end; ++t) {
    if constexpr (kStages == 1) {
      if (!S::kExpands) __syncthreads();
      load(t);
      AsyncWait<0>();
    } else {
      AsyncWait<kStages - 2>();
    }
    __syncthreads();  // keys are there; all have done with the tile before, its weights and maxima
    if constexpr (S::kExpands) loader.Expand(slot(t), expanded);
    if constexpr (kStages > 1) load(t + kStages - 1);
    if constexpr (S::kExpands) __syncthreads();
    const uint32_t keys = S::kExpands ? expanded : slot(t);
    float s[Scores::kTiles][4];
    scores.Multiply(keys, first_key, s);
    float most[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int j = 0; j < Scores::kTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = t * S::kKeys + first_key + 8 * j + 2 * (lane % 4) + i % 2;
        if (key > position[i / 2]) s[j][i] = -INFINITY;
        most[i / 2] = fmaxf(most[i / 2], s[j][i]);
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      most[i] = fmaxf(most[i], __shfl_xor_sync(~0u, most[i], 1));
      most[i] = fmaxf(most[i], __shfl_xor_sync(~0u, most[i], 2));
      tell(i, most[i]);
    }
    __syncthreads();
    float shift[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float highest = largest[i];
#pragma unroll
      for (int k = 0; k < S::kKeyWarps; ++k) highest = fmaxf(highest, told(i, k));
      shift[i] = highest == -INFINITY ? 0.0f : highest * a.scale;
      const float shrink = highest == largest[i] ? 1.0f : Exp2(largest[i] * a.scale - shift[i]);
      largest[i] = highest;
      total[i] *= shrink;
#pragma unroll
      for (int c = 0; c < kQuads; ++c) {
        out[c][2 * i] *= shrink;
        out[c][2 * i + 1] *= shrink;
      }
    }
#pragma unroll
    for (int j = 0; j < Scores::kTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float u = Exp2(fmaf(s[j][2 * i], a.scale, -shift[i]));
        const float v = Exp2(fmaf(s[j][2 * i + 1], a.scale, -shift[i]));
        total[i] += u + v;
        StoreSharedWord(
            weights + PlaceOfChunk(row_of(i), first_key / 8 + j, S::kWeightRowBytes) + lane % 4 * 4,
            PackPair<T>(u, v));
      }
    }
    __syncthreads();
#pragma unroll
    for (int step = 0; step < S::kKeys / 16; ++step) {
      uint32_t p[4];
      LoadMatrices(weights + PlaceOfChunk(16 * row_warp + lane % 16, 2 * step + lane / 16,
                                          S::kWeightRowBytes),
                   p);
#pragma unroll
      for (int c = 0; c < kQuads; c += 2) {
        uint32_t v[4];
        LoadMatricesTransposed(keys + PlaceOfChunk(16 * step + lane % 16,
                                                   key_warp * kQuads + c + lane / 16, S::kRowBytes),
                               v);
        Mma<T>(out[c], p, v[0], v[1]);
        Mma<T>(out[c + 1], p, v[2], v[3]);
      }
    }
  }
  // Sums of weights: of all key warps.
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    total[i] += __shfl_xor_sync(~0u, total[i], 1);
    total[i] += __shfl_xor_sync(~0u, total[i], 2);
    tell(i, total[i]);
  }
  __syncthreads();
  float sum[2] = {};
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    for (int k = 0; k < S::kKeyWarps; ++k) sum[i] += told(i, k);
  }
  Merge merge(a, item, static_cast<int>(blockIdx.x), part);
  if (a.parts > 1) {
    merge.Leave(out);
    if (key_warp == 0 && lane % 4 == 0) {
      for (int i = 0; i < 2; ++i) {
        merge.LeaveStats(row_of(i), make_float2(largest[i] * a.scale, sum[i]));
      }
    }
    merge.Meet();
    merge.AddShare(reinterpret_cast<float*>(shared));
    return;
  }
#pragma unroll
  for (int c = 0; c < kQuads; ++c) {
    const int column = key_warp * S::kColumns + 8 * c + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      merge.Store(row_of(i), column, out[c][2 * i] / sum[i], out[c][2 * i + 1] / sum[i]);
    }
  }
}

}  // namespace awq::cuda
