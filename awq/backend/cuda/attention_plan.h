// How sequences of few rows share a GPU's thread blocks in attention: host code without a GPU.
#pragma once

#include <cstdint>

#include "awq/base/host_device.h"

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
  int64_t rows = 0;       // most of a sequence; 0: none has so few
  int64_t max_kv = 0;     // the largest number of keys, or more
  int64_t window = 0;     // that a token sees of them, with its own; 0: all
  bool uneven = false;    // HasUnevenLengths
  int element_bytes = 2;  // of keys
};

struct ShortPlan {
  int64_t splits = 1;   // parts of the keys of each sequence, a thread block each
  int64_t columns = 0;  // or thread blocks of a kv head that all sequences share
  bool tiles = false;   // by attention_tiles.cuh (splits alone), else attention_short.cuh
  // Thread blocks of a kv head, and what they leave sums of at most: a block that shares may have
  // the end of one sequence and the beginning of the next.
  int64_t BlocksOfHead(int64_t sequences) const {
    return columns > 0 ? columns : sequences * splits;
  }
  int64_t PartsOfHead(int64_t sequences) const {
    return columns > 0 ? columns + sequences : sequences * splits;
  }
};

// How sequences share thread blocks: their tiles, one sequence's after another's, are cut into
// pieces of one length, a block each, whatever sequence they are of (stream-K, Osama et al.,
// https://arxiv.org/abs/2301.03598).
//
// That length, so that no sequence, of `longest` tiles at most, has more than kMostSplits parts: of
// n tiles they are (n - 2) / length + 2 at most.
AWQ_HD constexpr int TilesOfBlock(int total, int longest, int columns) {
  const int least = longest > 2 ? (longest - 2) / (kMostSplits - 1) + 1 : 1;
  const int share = (total + columns - 1) / columns;
  return share > least ? share : least;
}
struct PartNumber {
  int index, count;  // this part, of so many of its sequence
};
// What block `column` has of a sequence whose tiles, [first, last) of all, it has some of.
AWQ_HD constexpr PartNumber NumberOfPart(int first, int last, int tiles_of_block, int column) {
  const int before = first / tiles_of_block;
  return {column - before, (last - 1) / tiles_of_block - before + 1};
}

// As many thread blocks as fit at once, where they can be chosen: a second round would find most
// SMs idle.
ShortPlan PlanShort(const ShortShape& shape, int sms, int shared_per_block);

}  // namespace awq::cuda
