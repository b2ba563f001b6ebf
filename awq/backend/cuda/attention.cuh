// The attention kernel on tensor cores.
//
// Rows are pairs of a query token and a query head of one kv head: row r of a sequence is token r /
// R, head r % R of the R that share the kv head, so that a tile of rows reads each key once. Two
// arrangements of four warps:
//   long   4 x 16 rows, every warp sees all 64 keys of a tile
//   short  16 rows, every warp sees 16 of the 64 keys; their sums are added at the end. Keys are
//          split over thread blocks as well; the last of them to finish adds theirs.
// Keys and values of a tile are copied to shared memory while the tile before is worked on; rows
// there are 16 bytes longer than d, so that the 8 rows of a matrix load meet different banks.
// bound   long: tensor cores, then reading shared memory; short: memory, 4·G·d bytes a token
#pragma once

#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

inline constexpr int kTileKeys = 64;
inline constexpr int kAttentionWarps = 4;
// Sequences with at most this many rows take the short arrangement.
inline constexpr int kShortRows = 16;

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
  int heads, kv_heads, d, page_size, page_shift, window, splits;
  float scale;  // of q·k, times log2(e)
  // Of the short arrangement, when splits > 1: [B, G, kShortRows, splits] of d sums, and of (max,
  // sum).
  float* partial;
  float2* partial_stats;
  int* finished;  // [B, G] blocks that have written theirs; 0 before and after
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

constexpr int AttentionSharedBytes(int d) { return 2 * 2 * kTileKeys * (2 * d + 16); }

// By all threads of a block that has written its split; the last one adds all splits.
template <typename T>
__device__ void CombineSplits(const AttentionShape& a, int sequence, int g, int begin, int rows,
                              uint8_t* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  const int heads = a.heads / a.kv_heads;
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (thread == 0) {
    int* finished = a.finished + sequence * a.kv_heads + g;
    last = atomicAdd(finished, 1) == a.splits - 1;
    if (last) *finished = 0;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  const int64_t first = (int64_t{sequence} * a.kv_heads + g) * kShortRows * a.splits;
  float* shares = reinterpret_cast<float*>(shared);  // [rows][splits], of the whole
  for (int row = thread; row < rows; row += 32 * kAttentionWarps) {
    const float2* stats = a.partial_stats + first + row * a.splits;
    float top = -INFINITY;
    for (int s = 0; s < a.splits; ++s) top = fmaxf(top, __ldcg(stats + s).x);
    float weight = 0.0f;
    for (int s = 0; s < a.splits; ++s) {
      const float2 st = __ldcg(stats + s);
      const float share = st.x == -INFINITY ? 0.0f : exp2f((st.x - top) * a.scale);
      shares[row * a.splits + s] = share;
      weight += share * st.y;
    }
    for (int s = 0; s < a.splits; ++s) shares[row * a.splits + s] /= weight;
  }
  __syncthreads();
  for (int i = thread; i < rows * a.d; i += 32 * kAttentionWarps) {
    const int row = i / a.d;
    const int c = i % a.d;
    const float* partial = a.partial + (first + row * a.splits) * a.d + c;
    float sum = 0.0f;
#pragma unroll 8
    for (int s = 0; s < a.splits; ++s) {
      const float share = shares[row * a.splits + s];
      // Splits without keys have written nothing that counts.
      sum += share == 0.0f ? 0.0f : share * __ldcg(partial + int64_t{s} * a.d);
    }
    const int token = begin + row / heads;
    static_cast<T*>(a.y)[token * a.y_stride + (g * heads + row % heads) * a.d + c] =
        FromFloat<T>(sum);
  }
}

// D: head size, rounded up to what is compiled.
template <typename T, int D, bool kShort>
__global__ void __launch_bounds__(32 * kAttentionWarps) AttentionKernel(const AttentionShape a) {
  AllowNextKernel();
  constexpr int kRowsBlock = kShort ? 16 : 64;
  constexpr int kKeysWarp = kShort ? 16 : kTileKeys;
  constexpr int kKeyTiles = kKeysWarp / 8;  // of 8 keys
  constexpr int kSteps = D / 16;
  constexpr int kRowBytes = 2 * D + 16;
  constexpr int kStageBytes = 2 * kTileKeys * kRowBytes;
  extern __shared__ __align__(16) uint8_t shared[];
  const uint32_t base = SharedAddress(shared);

  const int sequence = static_cast<int>(blockIdx.z) / a.splits;
  const int split = static_cast<int>(blockIdx.z) % a.splits;
  const int g = static_cast<int>(blockIdx.y);
  const int heads = a.heads / a.kv_heads;  // that share a kv head
  const int begin = a.seq_start[sequence];
  const int tokens = a.seq_start[sequence + 1] - begin;
  const int rows = tokens * heads;
  // Late tiles see most keys: they come first.
  const int first_row =
      (static_cast<int>(gridDim.x) - 1 - static_cast<int>(blockIdx.x)) * kRowsBlock;
  if (first_row >= rows || (rows <= kShortRows) != kShort) return;

  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int quad = lane / 4;
  const int cached = a.kv_len[sequence] - tokens;  // before this step
  const int last_token = min(first_row + kRowsBlock - 1, rows - 1) / heads;
  const int end_key = cached + last_token + 1;
  const int first_key = a.window > 0 ? max(0, cached + first_row / heads - a.window + 1) : 0;
  const int first_tile = first_key / kTileKeys;
  const int all_tiles = (end_key + kTileKeys - 1) / kTileKeys - first_tile;
  const int span = (all_tiles + a.splits - 1) / a.splits;
  const int tile_begin = first_tile + split * span;
  const int tile_end = min(tile_begin + span, first_tile + all_tiles);

  // Thread: chunk of 16 bytes of every kRowStep-th row.
  constexpr int kChunks = D / 8;
  constexpr int kRowStep = 32 * kAttentionWarps / kChunks;
  const int chunk = static_cast<int>(threadIdx.x) % kChunks;
  const int chunk_row = static_cast<int>(threadIdx.x) / kChunks;
  const int* table = a.table + sequence * a.table_stride;
  const int64_t page_elements = int64_t{a.kv_heads} * a.page_size * a.d;
  const T* keys = static_cast<const T*>(a.keys) + int64_t{g} * a.page_size * a.d + 8 * chunk;
  const T* values = static_cast<const T*>(a.values) + int64_t{g} * a.page_size * a.d + 8 * chunk;
  const auto load_tile = [&](int tile, int stage) {
    if (chunk_row < kRowStep) {
#pragma unroll
      for (int first = 0; first < kTileKeys; first += kRowStep) {
        const int row = first + chunk_row;
        if (kTileKeys % kRowStep != 0 && row >= kTileKeys) break;
        const int key = tile * kTileKeys + row;
        const bool inside = key < end_key && 8 * chunk < a.d;
        int64_t at = 0;
        if (inside) {
          at = table[key >> a.page_shift] * page_elements + (key & (a.page_size - 1)) * a.d;
        }
        const uint32_t to = base + stage * kStageBytes + row * kRowBytes + 16 * chunk;
        AsyncCopy16(to, keys + at, inside ? 16 : 0);
        AsyncCopy16(to + kTileKeys * kRowBytes, values + at, inside ? 16 : 0);
      }
    }
    AsyncCommit();
  };
  // What other steps have stored was there before this step's first kernel; what this one stores,
  // and queries, are there once the previous kernel has ended.
  const bool early = tile_begin < tile_end && (tile_begin + 1) * kTileKeys <= cached;
  if (early) load_tile(tile_begin, 0);
  WaitForPreviousKernel();
  if (!early && tile_begin < tile_end) load_tile(tile_begin, 0);

  // This lane's rows: row_of[0] and row_of[1], 8 apart; rows past the last repeat it.
  int row_of[2];
  int position[2];
  const T* query[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    row_of[i] = first_row + (kShort ? 0 : 16 * warp) + quad + 8 * i;
    const int row = min(row_of[i], rows - 1);
    position[i] = cached + row / heads;
    query[i] = static_cast<const T*>(a.q) + (begin + row / heads) * a.q_stride +
               (g * heads + row % heads) * a.d;
  }
  uint32_t q[kSteps][4];
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int c = 16 * s + 8 * (i / 2) + 2 * (lane % 4);
      q[s][i] = c < a.d ? *reinterpret_cast<const uint32_t*>(query[i % 2] + c) : 0;
    }
  }

  float out[D / 8][4] = {};
  float largest[2] = {-INFINITY, -INFINITY};
  float total[2] = {};
  // Addresses of matrix loads: of keys 16·j.., of values 16·j..; lane l gives one row of a matrix.
  const uint32_t key_row = (kShort ? 16 * warp : 0) + lane % 8 + lane / 16 * 8;
  const uint32_t key_at = key_row * kRowBytes + lane / 8 % 2 * 16;
  const uint32_t value_row = (kShort ? 16 * warp : 0) + lane % 16;
  const uint32_t value_at = kTileKeys * kRowBytes + value_row * kRowBytes + lane / 16 * 16;

  for (int tile = tile_begin; tile < tile_end; ++tile) {
    const int stage = (tile - tile_begin) % 2;
    if (tile + 1 < tile_end) {
      load_tile(tile + 1, 1 - stage);
      AsyncWait<1>();
    } else {
      AsyncWait<0>();
    }
    __syncthreads();
    const uint32_t at = base + stage * kStageBytes;

    float s[kKeyTiles][4] = {};
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int j = 0; j < kKeyTiles / 2; ++j) {
        uint32_t k[4];
        LoadMatrices(at + key_at + 16 * j * kRowBytes + 32 * step, k);
        Mma<T>(s[2 * j], q[step], k[0], k[1]);
        Mma<T>(s[2 * j + 1], q[step], k[2], k[3]);
      }
    }

    const int tile_key = tile * kTileKeys + (kShort ? 16 * warp : 0);
    const bool masked = tile_key + kKeysWarp > cached + first_row / heads + 1 || a.window > 0;
    float highest[2] = {largest[0], largest[1]};
#pragma unroll
    for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (masked) {
          const int key = tile_key + 8 * j + 2 * (lane % 4) + i % 2;
          const int p = position[i / 2];
          if (key > p || (a.window > 0 && key <= p - a.window)) s[j][i] = -INFINITY;
        }
        highest[i / 2] = fmaxf(highest[i / 2], s[j][i]);
      }
    }
    float shift[2];  // of this tile's exponents
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      highest[i] = fmaxf(highest[i], __shfl_xor_sync(~0u, highest[i], 1));
      highest[i] = fmaxf(highest[i], __shfl_xor_sync(~0u, highest[i], 2));
      // A row that has seen no key yet keeps sums of zero.
      shift[i] = highest[i] == -INFINITY ? 0.0f : highest[i] * a.scale;
      const float shrink = exp2f(largest[i] * a.scale - shift[i]);
      largest[i] = highest[i];
      total[i] *= shrink;
#pragma unroll
      for (int c = 0; c < D / 8; ++c) {
        out[c][2 * i] *= shrink;
        out[c][2 * i + 1] *= shrink;
      }
    }
    uint32_t p[kKeyTiles][2];
#pragma unroll
    for (int j = 0; j < kKeyTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        s[j][i] = exp2f(fmaf(s[j][i], a.scale, -shift[i / 2]));
        total[i / 2] += s[j][i];
      }
      p[j][0] = PackPair<T>(s[j][0], s[j][1]);
      p[j][1] = PackPair<T>(s[j][2], s[j][3]);
    }
#pragma unroll
    for (int j = 0; j < kKeyTiles / 2; ++j) {
      const uint32_t weights[4] = {p[2 * j][0], p[2 * j][1], p[2 * j + 1][0], p[2 * j + 1][1]};
#pragma unroll
      for (int c = 0; c < D / 16; ++c) {
        uint32_t v[4];
        LoadMatricesTransposed(at + value_at + 16 * j * kRowBytes + 32 * c, v);
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
  }

  if constexpr (kShort) {
    // Warps 1 to 3 hand their sums to the others through shared memory; a thread of the block then
    // finishes what it is dealt of 16 rows x d.
    float* sums = reinterpret_cast<float*>(shared);                              // [warp][16][D]
    float2* stats = reinterpret_cast<float2*>(sums + kAttentionWarps * 16 * D);  // [warp][16]
#pragma unroll
    for (int c = 0; c < D / 8; ++c) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sums[(warp * 16 + quad + 8 * (i / 2)) * D + 8 * c + 2 * (lane % 4) + i % 2] = out[c][i];
      }
    }
    if (lane % 4 == 0) {
      for (int i = 0; i < 2; ++i) {
        stats[warp * 16 + quad + 8 * i] = make_float2(largest[i], total[i]);
      }
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < 16 * D; i += 32 * kAttentionWarps) {
      const int row = i / D;
      const int c = i % D;
      if (first_row + row >= rows || c >= a.d) continue;
      float top = -INFINITY;
      for (int w = 0; w < kAttentionWarps; ++w) top = fmaxf(top, stats[w * 16 + row].x);
      float sum = 0.0f;
      float weight = 0.0f;
      for (int w = 0; w < kAttentionWarps; ++w) {
        const float2 st = stats[w * 16 + row];
        const float share = st.x == -INFINITY ? 0.0f : exp2f((st.x - top) * a.scale);
        sum += share * sums[(w * 16 + row) * D + c];
        weight += share * st.y;
      }
      const int token = begin + (first_row + row) / heads;
      const int head = g * heads + (first_row + row) % heads;
      if (a.splits == 1) {
        static_cast<T*>(a.y)[token * a.y_stride + head * a.d + c] = FromFloat<T>(sum / weight);
      } else {
        const int64_t at =
            ((int64_t{sequence} * a.kv_heads + g) * kShortRows + row) * a.splits + split;
        a.partial[at * a.d + c] = sum;
        if (c == 0) a.partial_stats[at] = make_float2(top, weight);
      }
    }
    if (a.splits > 1) CombineSplits<T>(a, sequence, g, begin, rows, shared);
  } else {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (row_of[i] >= rows) continue;
      const float inverse = 1.0f / total[i];
      T* to = static_cast<T*>(a.y) + (begin + row_of[i] / heads) * a.y_stride +
              (g * heads + row_of[i] % heads) * a.d;
#pragma unroll
      for (int c = 0; c < D / 8; ++c) {
        const int column = 8 * c + 2 * (lane % 4);
        if (column >= a.d) continue;
        *reinterpret_cast<uint32_t*>(to + column) =
            PackPair<T>(out[c][2 * i] * inverse, out[c][2 * i + 1] * inverse);
      }
    }
  }
}

}  // namespace awq::cuda
