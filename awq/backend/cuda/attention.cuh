// What the attention kernels on tensor cores share.
//
// Rows are pairs of a query token and a query head of one kv head: row r of a sequence is token r /
// R, head r % R of the R that share the kv head, so that a tile of rows reads each key once.
// Sequences of many rows take attention_wgmma.cuh or attention_long.cuh, those of at most
// `short_rows` attention_short.cuh or attention_tiles.cuh, as attention_plan.h says.
//
// T: type of queries and of y; C: of the cache, T or E4M3, which is expanded to f16 on the way to
// the tensor cores.
#pragma once

#include <type_traits>

#include "awq/backend/cuda/attention.h"
#include "awq/backend/cuda/e4m3.cuh"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

inline constexpr int kAttentionWarps = 4;
// Of 16 bytes, of the keys of a cache at most, so that 32 bits say where one is.
inline constexpr uint32_t kMostCacheChunks = ~0u;

struct AttentionShape {
  const void* q;
  int64_t q_stride;  // of a token
  const void* keys;
  const void* values;
  void* y;
  int64_t y_stride;
  const int* seq_start;
  const int* kv_len;
  const int* table;
  int64_t table_stride;
  int heads, kv_heads, d, page_size, page_shift, window;
  // Of sequences with few rows: parts of the keys of each; or, unless it is 0, how many thread
  // blocks of a kv head share all of their keys (TileShares).
  int splits, columns;
  int sequences;
  bool tiles;      // such sequences take attention_tiles.cuh
  int short_rows;  // sequences of at most so many take the short arrangement
  float scale;     // of q·k, times log2(e)
  // Of scores before they are multiplied by `scale`; see AdjustScore.
  float cap;  // 0: none
  float inverse_cap;
  float slope_scale;    // of slopes
  const float* slopes;  // [H] or null
  // Of each part of a sequence that has several: [parts, G, kShortRows] of d sums, and of (max,
  // sum).
  float* partial;
  float2* partial_stats;
  int* finished;  // [B, G] blocks that have written theirs, and one for RowTileQueue; 0 before and
                  // after
};

template <typename T>
__device__ inline uint32_t PackPair(float a, float b);
template <>
__device__ inline uint32_t PackPair<__half>(float a, float b) {
  const __half2 v = __floats2half2_rn(a, b);
  return reinterpret_cast<const uint32_t&>(v);
}
template <>
__device__ inline uint32_t PackPair<__nv_bfloat16>(float a, float b) {
  const __nv_bfloat162 v = __floats2bfloat162_rn(a, b);
  return reinterpret_cast<const uint32_t&>(v);
}

template <typename C>
inline constexpr bool kIsE4m3 = std::is_same_v<C, __nv_fp8_e4m3>;
// What tensor cores multiply.
template <typename C>
using Operand = std::conditional_t<kIsE4m3<C>, __half, C>;

// Two values of T as a pair of M.
template <typename M, typename T>
__device__ inline uint32_t ConvertPair(uint32_t pair) {
  if constexpr (std::is_same_v<M, T>) {
    return pair;
  } else {
    const auto& v = reinterpret_cast<const Pack<T, 2>&>(pair).v;
    return PackPair<M>(ToFloat(v[0]), ToFloat(v[1]));
  }
}

// The column of the first of a lane's two neighbours in tile c of sums, once Settle has run.
template <typename C>
__device__ inline int SumColumn(int c, int lane) {
  return kIsE4m3<C> ? 16 * (c / 2) + 4 * (lane % 4) + 2 * (c % 2) : 8 * c + 2 * (lane % 4);
}
// Makes neighbours of a lane's neighbouring columns, which two tiles share.
template <typename C, int kTiles>
__device__ inline void Settle(float (&out)[kTiles][4]) {
  if constexpr (kIsE4m3<C>) {
#pragma unroll
    for (int c = 0; c + 1 < kTiles; c += 2) {
#pragma unroll
      for (int i = 0; i < 4; i += 2) {
        const float swapped = out[c][i + 1];
        out[c][i + 1] = out[c + 1][i];
        out[c + 1][i] = swapped;
      }
    }
  }
}

// What sums are multiplied with when a row's largest score becomes `shift` / scale. Exactly 1 where
// it stays: a row must not depend on its neighbours' maxima.
__device__ inline float Shrink(float largest, float scale, float shift) {
  return Exp2(__fmul_rn(largest, scale) - shift);
}

// Whether scores are more than products.
__device__ inline bool AdjustsScores(const AttentionShape& a) {
  return a.cap > 0.0f || a.slopes != nullptr;
}
__device__ inline float CapScore(const AttentionShape& a, float s) {
  return a.cap * Tanh(s * a.inverse_cap);
}
// What ALiBi takes off scores for each key that is further behind the query.
__device__ inline float SlopeOf(const AttentionShape& a, int head) {
  return __ldg(a.slopes + head) * a.slope_scale;
}
// A score of a query head, capped, with what ALiBi adds for a key `distance` behind the query.
__device__ inline float AdjustScore(const AttentionShape& a, float s, int head, int distance) {
  if (a.cap > 0.0f) s = CapScore(a, s);
  if (a.slopes != nullptr) s -= SlopeOf(a, head) * static_cast<float>(distance);
  return s;
}

// Rows of the batch that a sequence has; its keys, theirs included.
struct SequenceRows {
  int begin = 0, tokens = 0, keys = 0;
  SequenceRows() = default;
  __device__ SequenceRows(const AttentionShape& a, int sequence)
      : begin(a.seq_start[sequence]),
        tokens(a.seq_start[sequence + 1] - begin),
        keys(a.kv_len[sequence]) {}
};

// A sequence and the keys that one block of one of the kernels works on.
struct KeySpan {
  int begin, tokens, rows;  // rows of the batch; tokens of this step; pairs of token and head
  int cached;               // keys of earlier steps
  int end_key;              // the last key that any row of the block sees, and one
  int tile_begin, tile_end;

  KeySpan() = default;
  // Whether its sequence takes the short arrangement.
  __device__ bool IsShort(const AttentionShape& a) const { return rows <= a.short_rows; }

  // For rows [first_row, first_row + block_rows) and one of `splits` parts of their keys.
  __device__ KeySpan(const AttentionShape& a, int sequence, int first_row, int block_rows,
                     int split = 0, int splits = 1)
      : KeySpan(a, SequenceRows(a, sequence), first_row, block_rows, split, splits) {}
  __device__ KeySpan(const AttentionShape& a, const SequenceRows& s, int first_row, int block_rows,
                     int split = 0, int splits = 1)
      : begin(s.begin), tokens(s.tokens), cached(s.keys - s.tokens) {
    const int heads = a.heads / a.kv_heads;
    rows = tokens * heads;
    end_key = cached + min(first_row + block_rows - 1, rows - 1) / heads + 1;
    const int first_key = a.window > 0 ? max(0, cached + first_row / heads - a.window + 1) : 0;
    const int first_tile = first_key / kTileKeys;
    const int tiles = (end_key + kTileKeys - 1) / kTileKeys - first_tile;
    const int span = (tiles + splits - 1) / splits;
    tile_begin = first_tile + split * span;
    tile_end = min(tile_begin + span, first_tile + tiles);
  }
  // Leaves tiles [begin, end) of them.
  __device__ void Narrow(int begin, int end) {
    tile_end = tile_begin + end;
    tile_begin += begin;
  }
};

// Copies 64 rows of keys or values of a kv head to shared memory, by the threads of four warps.
template <typename C, int D>
class TileLoader {
 public:
  static constexpr int kPerChunk = 16 / sizeof(C);
  static constexpr int kRowBytes = D * sizeof(C) + 16;
  static constexpr int kBytes = kTileKeys * kRowBytes;
  static constexpr int kChunks = D / kPerChunk;  // of 16 bytes a row
  static constexpr int kRowStep = 32 * kAttentionWarps / kChunks;
  static constexpr int kIterations = (kTileKeys + kRowStep - 1) / kRowStep;

  __device__ TileLoader(const AttentionShape& a, int sequence, int g, int thread)
      : table_(a.table + sequence * a.table_stride),
        row_chunks_(static_cast<uint32_t>(a.d / kPerChunk)),
        page_chunks_(static_cast<uint32_t>(a.kv_heads * a.page_size) * row_chunks_),
        chunk_(thread % kChunks),
        row_(thread / kChunks),
        first_(static_cast<uint32_t>(g * a.page_size) * row_chunks_ + chunk_),
        inside_(row_ < kRowStep && chunk_ < static_cast<int>(row_chunks_)) {}

  // Where this thread's part of a tile lies in keys and in values, in chunks. All are looked up
  // before the first is copied: a copy is a barrier to the compiler.
  struct Places {
    uint32_t at[kIterations];
  };
  __device__ Places Find(const AttentionShape& a, int tile, int end_key) const {
    Places out;
#pragma unroll
    for (int i = 0; i < kIterations; ++i) {
      const int key = tile * kTileKeys + i * kRowStep + row_;
      out.at[i] = kNowhere;
      if (key < end_key && inside_) {
        const auto page = static_cast<uint32_t>(__ldg(table_ + (key >> a.page_shift)));
        const auto slot = static_cast<uint32_t>(key & (a.page_size - 1));
        out.at[i] = page * page_chunks_ + slot * row_chunks_ + first_;
      }
    }
    return out;
  }
  // Keys from end_key on become zeros.
  __device__ void Load(const void* from, const Places& places, uint32_t to) const {
    if (row_ >= kRowStep) return;
    to += row_ * kRowBytes + 16 * chunk_;
#pragma unroll
    for (int i = 0; i < kIterations; ++i) {
      if (kTileKeys % kRowStep != 0 && i * kRowStep + row_ >= kTileKeys) break;
      const bool inside = places.at[i] != kNowhere;
      AsyncCopy16(to + i * kRowStep * kRowBytes,
                  static_cast<const uint4*>(from) + (inside ? places.at[i] : 0), inside ? 16 : 0);
    }
  }
  // This thread's chunk of its rows, of which the first is row(), and the others kRowStep apart.
  __device__ int chunk() const { return chunk_; }
  __device__ int row() const { return row_; }

 private:
  static constexpr uint32_t kNowhere = kMostCacheChunks;
  const int* table_;
  uint32_t row_chunks_, page_chunks_;
  int chunk_, row_;
  uint32_t first_;  // of head g of a page
  bool inside_;
};

// Where the output of row `row` of a sequence lies, whose first token is `begin`: of kv head g.
template <typename T>
__device__ inline T* OutputRow(const AttentionShape& a, int begin, int g, int row) {
  const int heads = a.heads / a.kv_heads;
  return static_cast<T*>(a.y) + (begin + row / heads) * a.y_stride +
         (g * heads + row % heads) * a.d;
}

// The A operand of rows first_row + {lane / 4, lane / 4 + 8} of a sequence's queries, in steps of
// 16 elements; rows past the last repeat it. M: what they become; kNeighbours: elements of a step
// that a lane has beside each other, 2 (and 2 that are 8 further on) or 4.
template <typename T, typename M, int kNeighbours, int D>
__device__ inline void LoadQueries(const AttentionShape& a, const KeySpan& span, int g,
                                   int first_row, uint32_t (&q)[D / 16][4], int (&position)[2]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int heads = a.heads / a.kv_heads;
  const T* query[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = min(first_row + lane / 4 + 8 * i, span.rows - 1);
    position[i] = span.cached + row / heads;
    query[i] = static_cast<const T*>(a.q) + (span.begin + row / heads) * a.q_stride +
               (g * heads + row % heads) * a.d;
  }
#pragma unroll
  for (int s = 0; s < D / 16; ++s) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int c = 16 * s + kNeighbours * (lane % 4) + (kNeighbours == 4 ? 2 : 8) * (i / 2);
      q[s][i] =
          c < a.d ? ConvertPair<M, T>(*reinterpret_cast<const uint32_t*>(query[i % 2] + c)) : 0;
    }
  }
}

}  // namespace awq::cuda
