// What the thread blocks of wide_linear are made of, their pieces of work, and the ring that brings
// them weights and x.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/tile_place.cuh"
#include "awq/backend/cuda/wide_launch.h"

namespace awq::cuda {

// Shared memory for sums of 64 outputs and half of the rows, that the other block of a pair sends.
template <int kRows>
inline constexpr int kPairBytes = 64 * kRows / 2 * 4;

// What a thread block, one an SM, is made of: warpgroups of 64 outputs, and one that copies, which
// gives its registers to the others. kMostBytes: of a block of the layout. kPair: that it is one of
// a pair (wide_pair.cuh).
template <int kRowsOfX, int kGroupsOfWarps, int kMostBytes, bool kPair = false>
struct WideSize {
  static constexpr int kRows = kRowsOfX;  // of a tile
  static constexpr int kWarpgroups = kGroupsOfWarps;
  static constexpr int kThreads = 128 * (kWarpgroups + 1);

  // The compiler shares out an SM's registers among so many threads; those of threads that are not
  // launched are left for blocks of the kernels around.
  static constexpr int kBound = kRows <= 64                        ? 640
                                : kRows == 128 && kWarpgroups == 2 ? 512
                                                                   : kThreads;
  static constexpr int kLaunched = 65536 / kBound / 8 * 8;
  static constexpr int kLeft = 24;
  static constexpr int kMost = (kThreads * kLaunched - 128 * kLeft) / (128 * kWarpgroups) / 8 * 8;
  static constexpr int kRegisters = kMost < 240 ? kMost : 240;

  // The ring, in stages of 128 inputs, and barriers. An SM has 228 KB, of which a block costs one
  // and another aligns the ring. With few rows no more than 164 KB, so that blocks of the kernels
  // around find room beside: a step of a model is faster for it (docs/kernels.md).
  static constexpr int kSums = kPair ? kPairBytes<kRows> : 0;  // behind the ring
  static constexpr int kSpace = ((kRows <= 64 ? 164 : 228) << 10) - (2 << 10) - 512 - kSums;
  // Batches of mma steps whose operands have registers: one is expanded while the other's products
  // run.
  static constexpr int kBuffers = kRows == 128 && kRegisters <= 128 ? 1 : 2;
  static constexpr int kXBytes = kRows * 256;
  // A warpgroup's weights; those of a pair are copied apart, which wants multiples of 128 bytes.
  AWQ_HD static constexpr int GroupBytes(int block_bytes) {
    return kPair ? (4 * block_bytes + 127) / 128 * 128 : 4 * block_bytes;
  }
  // A stage: x, then weights.
  AWQ_HD static constexpr int StageBytes(int block_bytes) {
    return kXBytes + (kWarpgroups * GroupBytes(block_bytes) + 1023) / 1024 * 1024;
  }
  static constexpr int kFit = kSpace / StageBytes(kMostBytes);
  static constexpr int kStages = kFit < 9 ? kFit : 9;
  static_assert(kStages >= 2);
  static constexpr int SharedBytes(int block_bytes) {
    return 1024 + kStages * StageBytes(block_bytes) + kSums;
  }
};

// Pieces of work that a thread block takes in turn with all others, each all of its own.
struct ItemOfBlock {
  static constexpr bool kSharesX = false;  // with the other block of a cluster
  static constexpr bool kPair = false;     // nor outputs
  static constexpr bool kParts = false;    // of inputs
  __device__ static int First() { return static_cast<int>(blockIdx.x); }
  __device__ static int Takers() { return static_cast<int>(gridDim.x); }
};

// A piece of work: a tile, and steps [begin, end) of 128 inputs each.
struct WideItem : ItemOfBlock, TilePlace {
  static constexpr bool kRouted = false;
  static constexpr bool kParts = true;
  int part, begin, end;
  __device__ static int Count(const WideArgs& a) { return a.m_tiles * a.n_tiles * a.parts; }
  __device__ const void* Weights(const WideArgs& a) const { return &a.weights; }
  __device__ WideItem(const WideArgs& a, int item)
      : TilePlace(a, item / a.parts),
        part(item % a.parts),
        begin(a.blocks_per_row * part / a.parts),
        end(a.blocks_per_row * (part + 1) / a.parts) {}
};

// A ring's barriers, full and empty, and a place in it.
template <int kStages>
struct WideRing {
  uint32_t full, empty;
  int stage = 0;
  uint32_t phase = 0;
  __device__ explicit WideRing(uint32_t barriers) : full(barriers), empty(barriers + 8 * kStages) {}
  __device__ void Advance() {
    if (++stage == kStages) stage = 0, phase ^= 1;
  }
  __device__ uint32_t Full() const { return full + 8 * stage; }
  __device__ uint32_t Empty() const { return empty + 8 * stage; }
};

// Fills the stages with x, one after another, through all items of a block. `rooms`: a barrier a
// stage, on which the block that shares x says that it has room.
template <typename Size, typename Codes, typename Item>
__device__ void CopyX(const WideArgs& a, uint32_t barriers, uint32_t rooms, uint32_t to,
                      int items) {
  WideRing<Size::kStages> ring(barriers);
  for (int i = Item::First(); i < items; i += Item::Takers()) {
    const Item item(a, i);
    const int row = item.template FirstRow<Size>();
    for (int step = item.begin; step < item.end; ++step) {
      BarrierWait(ring.Empty(), ring.phase ^ 1);  // the first round finds the ring empty
      const uint32_t stage = to + ring.stage * Size::StageBytes(Codes::kBlockBytes);
      const int input = step * kBlockK;
      BarrierExpect(ring.Full(), Size::kXBytes);
      if constexpr (Item::kSharesX) {  // each copies half for both, when both have room
        const uint32_t room = rooms + 8 * ring.stage;
        ClusterBarrierArrive(ClusterAddress(room, 1 - item.rank));
        BarrierWait(room, ring.phase);
        BoxCopyToBoth(stage + item.rank * (Size::kXBytes / 2), &a.x, input + 64 * item.rank, row,
                      ring.Full());
      } else {
        BoxCopy(stage, &a.x, input, row, ring.Full());
        BoxCopy(stage + Size::kXBytes / 2, &a.x, input + 64, row, ring.Full());
      }
      ring.Advance();
    }
  }
}

// The same for weights.
template <typename Size, typename Codes, typename Item>
__device__ void CopyWeights(const WideArgs& a, uint32_t barriers, uint32_t to, int items) {
  WideRing<Size::kStages> ring(barriers);
  const void* last = nullptr;
  for (int i = Item::First(); i < items; i += Item::Takers()) {
    const Item item(a, i);
    const void* map = item.Weights(a);
    if (Item::kRouted && map != last) AcquireMap(map);
    last = map;
    for (int step = item.begin; step < item.end; ++step) {
      BarrierWait(ring.Empty(), ring.phase ^ 1);
      const uint32_t stage = to + ring.stage * Size::StageBytes(Codes::kBlockBytes) + Size::kXBytes;
      if constexpr (Item::kPair) {
        item.template CopyWeights<Size, Codes>(map, step, stage, ring.Full());
      } else {
        BarrierExpect(ring.Full(), 4 * Size::kWarpgroups * Codes::kBlockBytes);
        Codes::CopyBlocks(stage, map, step, item.n_tile * 4 * Size::kWarpgroups, ring.Full());
      }
      ring.Advance();
    }
  }
}

}  // namespace awq::cuda
