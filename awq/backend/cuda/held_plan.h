// How held_q4 shares out its work and its shared memory: host code without a GPU.
#pragma once

#include <functional>
#include <optional>

#include "awq/backend/cuda/layout.h"

namespace awq::cuda {

inline constexpr int kHeldParts = 8;  // thread blocks of a cluster at most
// Of its own row tiles, sums that a part has room for. Those of a row tile may be taken as late as
// two rounds after they were sent and one row tile more, by a group that itself waits to send: with
// less room the parts would wait for each other.
inline constexpr int kHeldWindow = 4;
static_assert(kHeldWindow >= 4);
inline constexpr int kHeldBlocks = 2;  // of 128 inputs of x that a warp keeps
inline constexpr int kHeldSlots = 32;  // of the ring at most

// Barriers, at the beginning of shared memory: of two row tiles in turn, that all warps have left
// their sums, and that these are added up, so that there is room for others; of x, that it is
// there, and that it is in registers; of the window of own row tiles, that all parts' sums have
// arrived, and that all parts have taken what this one sent; of each slot, that it is full.
struct HeldBarriers {
  static constexpr int kSummed = 0;
  static constexpr int kAdded = kSummed + 16;
  static constexpr int kXArrived = kAdded + 16;
  static constexpr int kXTaken = kXArrived + 8;
  static constexpr int kArrived = kXTaken + 8;
  static constexpr int kTaken = kArrived + 8 * kHeldWindow;
  static constexpr int kFull = kTaken + 8 * kHeldWindow;
  static constexpr int kEnd = kFull + 8 * kHeldSlots;
};

// An arrangement of the kernel.
struct HeldTile {
  int warps;   // that multiply, of a thread block
  int per_sm;  // thread blocks that share an SM
  int cols;    // tiles of 8 rows of x
  int shared;  // bytes a thread block may take

  AWQ_HD constexpr int Rows() const { return 8 * cols; }
  // Two groups of `cols` more warps add up and copy.
  AWQ_HD constexpr int Threads() const { return 32 * (warps + 2 * cols); }
  // Bytes of the sums of a row tile, f32.
  AWQ_HD constexpr int TileBytes() const { return Rows() * kTileN * 4; }
  // Shared memory, whatever the plan: barriers, sums of two row tiles by warps.
  AWQ_HD constexpr int Sums() const { return (HeldBarriers::kEnd + 127) / 128 * 128; }
  AWQ_HD constexpr int Exchange() const { return Sums() + 2 * warps * TileBytes(); }
};

// Named by warps, thread blocks an SM and rows.
inline constexpr HeldTile kHeld8x2x8 = {8, 2, 1, 80 << 10};
inline constexpr HeldTile kHeld16x1x8 = {16, 1, 1, 164 << 10};
inline constexpr HeldTile kHeld8x1x16 = {8, 1, 2, 164 << 10};

// A row of x in shared memory: 64 bytes more, so that rows do not share banks.
AWQ_HD constexpr int HeldRowBytes(int num_blocks) { return 2 * kBlockK * num_blocks + 64; }

struct HeldPlan {
  int parts;         // of the inputs: thread blocks of a cluster
  int part_blocks;   // blocks of 128 inputs of a part
  int longer_parts;  // the first parts have one more
  int clusters;      // that run at once
  int tiles;         // row tiles of a cluster
  int longer;        // the first clusters have one more
  int window;        // of its own row tiles, sums that a part has room for; 0 of one part
  int slots;         // of the ring, each for a part of a row tile
  int slot_stride;   // bytes, a multiple of 128
  int early_slots;   // before the place where x arrives

  // Shared memory: what HeldTile knows, the exchange of parts, the ring.
  AWQ_HD constexpr int Ring(const HeldTile& tile) const {
    return tile.Exchange() + window * parts * tile.TileBytes();
  }
  AWQ_HD constexpr int SharedBytes(const HeldTile& tile) const {
    return Ring(tile) + slots * slot_stride;
  }
};

// Of how many parts the inputs are; more than kHeldParts: the arrangement cannot serve them.
inline int HeldPartsOf(const HeldTile& tile, int64_t blocks_per_row) {
  const int64_t most = int64_t{tile.warps} * kHeldBlocks;
  return static_cast<int>((blocks_per_row + most - 1) / most);
}

// The plan for m rows of x, or none where they do not fit. `clusters`: how many clusters of so many
// thread blocks run at once.
std::optional<HeldPlan> PlanHeld(const HeldTile& tile, const Q4Shape& shape, int64_t m,
                                 const std::function<int(int)>& clusters);

}  // namespace awq::cuda
