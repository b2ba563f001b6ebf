// What a thread block of latent_tiles.cuh has: its size, its rows, and the keys it copies.
#pragma once

#include "awq/backend/cuda/attention.cuh"
#include "awq/backend/cuda/e4m3.cuh"
#include "awq/backend/cuda/latent_tiles.h"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

// Rows of a thread block, the type of the cache, and how many tiles of keys are on their way. Codes
// of E4M3 become 16 bits in shared memory, in one tile more.
template <int kRows_, typename C_, int kStages_>
struct LatentSize {
  using C = C_;
  static constexpr int kRows = kRows_;
  static constexpr int kStages = kStages_;
  static constexpr bool kExpands = sizeof(C) == 1;
  static constexpr int kRank = 512, kSize = 576;
  static constexpr int kChunks = kSize / 8;  // of 16 bytes
  static constexpr int kRankChunks = kRank / 8;
  static constexpr int kKeys = 64;  // of a tile
  static constexpr int kWarps = 8, kThreads = 32 * kWarps;
  static constexpr int kRowWarps = kRows / 16;
  static constexpr int kKeyWarps = kWarps / kRowWarps;
  static constexpr int kColumns = kRank / kKeyWarps;  // whose sums a warp has
  static constexpr int kRowBytes = 2 * kSize;
  static constexpr int kTileBytes = kKeys * kRowBytes;
  static constexpr int kQueryBytes = kRows * kRowBytes;
  static constexpr int kWeightRowBytes = 2 * kKeys;
  static constexpr int kWeightBytes = kRows * kWeightRowBytes;
  static constexpr int kStatBytes = 4 * kKeyWarps * kRows;
  static constexpr int kCopiedBytes = kKeys * kSize * static_cast<int>(sizeof(C));  // of a tile
  static constexpr int kRingBytes = kStages * kCopiedBytes + (kExpands ? kTileBytes : 0);
  static constexpr int kSharedBytes = kQueryBytes + kRingBytes + kWeightBytes + kStatBytes;
};

// Which rows a thread block has, and which tiles of keys.
struct LatentItem {
  int sequence = -1;  // none
  int begin, rows;    // of the sequence: its first token, how many rows
  int first_row;
  int cached;   // keys before the first token
  int end_key;  // behind the last that a row sees
  int tile_begin, tile_end;

  __device__ int Position(int row, int heads) const { return cached + row / heads; }
};
template <typename S>
__device__ LatentItem FindLatentItem(const LatentTilesArgs& a, int tile, int part) {
  LatentItem out;
  int b = a.alike > 0 ? tile / a.alike : 0;
  tile -= b * a.alike;
  for (; b < a.sequences; ++b) {
    out.begin = a.seq_start[b];
    const int tokens = a.seq_start[b + 1] - out.begin;
    out.rows = tokens * a.heads;
    const int tiles = tokens > a.most_tokens ? 0 : (out.rows + S::kRows - 1) / S::kRows;
    if (tile < tiles) {
      out.sequence = b;
      break;
    }
    tile -= tiles;
  }
  if (out.sequence < 0) return out;
  out.first_row = tile * S::kRows;
  out.cached = a.kv_len[out.sequence] - out.rows / a.heads;
  out.end_key = out.Position(min(out.first_row + S::kRows, out.rows) - 1, a.heads) + 1;
  const int key_tiles = (out.end_key + S::kKeys - 1) / S::kKeys;
  out.tile_begin = key_tiles * part / a.parts;
  out.tile_end = key_tiles * (part + 1) / a.parts;
  return out;
}

// Where a chunk of 16 bytes of a row lies: eight rows' same chunk reach all banks.
__device__ inline int PlaceOfChunk(int row, int chunk, int row_bytes) {
  return row * row_bytes + (chunk ^ (row & 7)) * 16;
}

template <typename T, typename S>
__device__ void CopyLatentQueries(const LatentTilesArgs& a, const LatentItem& item, uint32_t to) {
  for (int i = static_cast<int>(threadIdx.x); i < S::kRows * S::kChunks; i += S::kThreads) {
    const int r = i / S::kChunks;
    const int chunk = i % S::kChunks;
    const int row = min(item.first_row + r, item.rows - 1);
    const int64_t token = item.begin + row / a.heads;
    const int head = row % a.heads;
    const T* from = chunk < S::kRankChunks
                        ? static_cast<const T*>(a.q_latent) + token * a.q_stride + head * S::kRank
                        : static_cast<const T*>(a.q_rope) + token * a.rope_stride +
                              head * (S::kSize - S::kRank) - S::kRank;
    AsyncCopy16(to + PlaceOfChunk(r, chunk, S::kRowBytes), from + 8 * chunk, 16);
  }
}

// Copies tiles of keys one after the other, four threads a key, and expands what each has copied
// itself. Keys past the last are copies of it.
template <typename T, typename S>
class LatentKeyLoader {
 public:
  using C = typename S::C;

  __device__ LatentKeyLoader(const LatentTilesArgs& a, const LatentItem& item)
      : keys_(static_cast<const C*>(a.keys) + first_ * kPerChunk),
        table_(a.table + item.sequence * a.table_stride),
        shift_(a.page_shift),
        last_key_(item.end_key - 1),
        key_(static_cast<int>(threadIdx.x) / kThreadsOfKey) {
    Find(item.tile_begin);
  }
  // The next tile.
  __device__ void Copy(uint32_t to, int tile) {
    const C* from = keys_ + int64_t{at_} * S::kSize;
    Find(tile + 1);
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      AsyncCopy16(to + PlaceOfCopy(i), from + kPerChunk * kThreadsOfKey * i, 16);
    }
  }
  __device__ void Expand(uint32_t from, uint32_t to) const {
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      uint32_t codes[4];
      LoadShared(from + PlaceOfCopy(i), codes);
      const int chunk = 2 * (first_ + kThreadsOfKey * i);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const F16Pairs low = ExpandE4m3(codes[2 * half]);
        const F16Pairs high = ExpandE4m3(codes[2 * half + 1]);
        StoreShared(to + PlaceOfChunk(key_, chunk + half, S::kRowBytes),
                    ConvertPair<T, __half>(low.low), ConvertPair<T, __half>(low.high),
                    ConvertPair<T, __half>(high.low), ConvertPair<T, __half>(high.high));
      }
    }
  }

 private:
  static constexpr int kThreadsOfKey = S::kThreads / S::kKeys;
  static constexpr int kPerChunk = 16 / static_cast<int>(sizeof(C));
  static constexpr int kCopies = S::kSize / kPerChunk / kThreadsOfKey;
  __device__ int PlaceOfCopy(int i) const {
    const int chunk = first_ + kThreadsOfKey * i;
    return S::kExpands ? key_ * S::kSize + 16 * chunk : PlaceOfChunk(key_, chunk, S::kRowBytes);
  }
  __device__ void Find(int tile) {
    const int key = min(tile * S::kKeys + key_, last_key_);
    at_ = (table_[key >> shift_] << shift_) + (key & ((1 << shift_) - 1));
  }

  int first_ = static_cast<int>(threadIdx.x) % kThreadsOfKey;  // chunk
  const C* keys_;
  const int* table_;
  int shift_, last_key_, key_;
  int at_;  // of the next tile's key in the cache
};

}  // namespace awq::cuda
