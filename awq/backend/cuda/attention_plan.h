// How sequences of few rows share a GPU's thread blocks in attention: host code without a GPU.
#pragma once

#include <cstdint>

namespace awq::cuda {

// Sequences with at most this many rows, pairs of a token and a head of one kv head, are split over
// keys.
inline constexpr int kShortRows = 16;
inline constexpr int kShortRowsOfLargeHeads = 8;  // of more than 128 elements
inline constexpr int kTileKeys = 64;
inline constexpr int kMostSplits = 64;   // parts of a sequence's keys
inline constexpr int kMostShared = 512;  // sequences that share thread blocks by their lengths

// Of attention_tiles.cuh: tiles under way, and a row of weights in shared memory.
inline constexpr int kTileStages = 3;
inline constexpr int kWeightRowBytes = 2 * kTileKeys + 16;
// Shared memory of a thread block of it; d: 64 or 128, element_bytes: of keys.
constexpr int TilesSharedBytes(int d, int element_bytes) {
  return kTileStages * kTileKeys * (d * element_bytes + 16) + kShortRows * kWeightRowBytes;
}

struct ShortShape {
  int64_t sequences = 0, heads = 0, kv_heads = 0, d = 0;
  int64_t max_kv = 0;     // the largest number of keys, or more
  int64_t window = 0;     // that a token sees of them, with its own; 0: all
  bool uneven = false;    // HasUnevenLengths
  int element_bytes = 2;  // of keys
};

struct ShortPlan {
  int64_t splits = 1;   // parts of the keys of each sequence, a thread block each
  int64_t columns = 0;  // or thread blocks of a kv head that all sequences share
  bool tiles = false;   // by attention_tiles.cuh, else attention_short.cuh
  // Thread blocks of a kv head. With more sequences than columns, parts that are longer than a
  // block's fair share come on top.
  int64_t BlocksOfHead(int64_t sequences) const {
    if (columns == 0) return sequences * splits;
    return columns + (sequences > columns ? sequences : 0);
  }
};

// As many thread blocks as fit at once, and not more: a second round would find most SMs idle.
ShortPlan PlanShort(const ShortShape& shape, int sms, int shared_per_block);

}  // namespace awq::cuda
