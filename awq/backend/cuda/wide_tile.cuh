// What the thread blocks of wide_linear are made of, their pieces of work, and the ring that brings
// them weights and x.
#pragma once

#include "awq/backend/cuda/ptx.cuh"
#include "awq/backend/cuda/wide_launch.h"

namespace awq::cuda {

// What a thread block, one an SM, is made of: warpgroups of 64 outputs, and one that copies, which
// gives its registers to the others. kMostBytes: of a block of the layout.
template <int kRowsOfX, int kGroupsOfWarps, int kMostBytes>
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
  static constexpr int kSpace = ((kRows <= 64 ? 164 : 228) << 10) - (2 << 10) - 512;
  // Batches of mma steps whose operands have registers: one is expanded while the other's products
  // run.
  static constexpr int kBuffers = kRows == 128 && kRegisters <= 128 ? 1 : 2;
  static constexpr int kXBytes = kRows * 256;
  // A stage: x, then weights.
  AWQ_HD static constexpr int StageBytes(int block_bytes) {
    return kXBytes + (4 * kWarpgroups * block_bytes + 1023) / 1024 * 1024;
  }
  static constexpr int kFit = kSpace / StageBytes(kMostBytes);
  static constexpr int kStages = kFit < 9 ? kFit : 9;
  static_assert(kStages >= 2);
  static constexpr int SharedBytes(int block_bytes) {
    return 1024 + kStages * StageBytes(block_bytes);
  }
};

// A piece of work: a tile, and steps [begin, end) of 128 inputs each. Tiles of m_group tiles of
// rows follow each other, so that their x stay in L2.
struct WideItem {
  static constexpr bool kRouted = false;
  int part, begin, end, m_tile, n_tile;
  __device__ static int Count(const WideArgs& a) { return a.m_tiles * a.n_tiles * a.parts; }
  template <typename Size>
  __device__ int FirstRow() const {
    return m_tile * Size::kRows;
  }
  __device__ const void* Weights(const WideArgs& a) const { return &a.weights; }
  __device__ WideItem(const WideArgs& a, int item)
      : part(item % a.parts),
        begin(a.blocks_per_row * part / a.parts),
        end(a.blocks_per_row * (part + 1) / a.parts) {
    const int tile = item / a.parts;
    const int before = tile / (a.m_group * a.n_tiles) * a.m_group;
    const int at = tile - before * a.n_tiles;
    const int rows = min(a.m_group, a.m_tiles - before);
    m_tile = before + at % rows;
    n_tile = at / rows;
  }
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

// Copies the x or the weights of stages, one after another, through all tiles of a block.
template <typename Size, bool kX, typename Codes, typename Item>
struct WideCopies {
  static constexpr int kBlockBytes = Codes::kBlockBytes;
  static constexpr int kStageBytes = Size::StageBytes(kBlockBytes);
  WideRing<Size::kStages> ring;
  uint32_t to;
  int i, count;
  int at, end, tile;
  const void* weights = nullptr;

  __device__ WideCopies(const WideArgs& a, uint32_t barriers, uint32_t ring_at)
      : ring(barriers), to(ring_at), i(static_cast<int>(blockIdx.x)), count(Item::Count(a)) {
    if (!Done()) Begin(a);
  }
  __device__ void Begin(const WideArgs& a) {
    const Item item(a, i);
    at = item.begin;
    end = item.end;
    tile = kX ? item.template FirstRow<Size>() : item.n_tile * 4 * Size::kWarpgroups;
    const void* map = item.Weights(a);
    if (Item::kRouted && !kX && map != weights) AcquireMap(map);
    weights = map;
  }
  __device__ bool Done() const { return i >= count; }
  __device__ void Copy(const WideArgs& a) {
    BarrierWait(ring.Empty(), ring.phase ^ 1);  // the first round finds the ring empty
    const uint32_t stage = to + ring.stage * kStageBytes;
    if constexpr (kX) {
      BarrierExpect(ring.Full(), Size::kXBytes);
      BoxCopy(stage, &a.x, at * kBlockK, tile, ring.Full());
      BoxCopy(stage + Size::kXBytes / 2, &a.x, at * kBlockK + 64, tile, ring.Full());
    } else {
      BarrierExpect(ring.Full(), 4 * Size::kWarpgroups * kBlockBytes);
      Codes::CopyBlocks(stage + Size::kXBytes, weights, at, tile, ring.Full());
    }
    ring.Advance();
    if (++at < end) return;
    i += static_cast<int>(gridDim.x);
    if (!Done()) Begin(a);
  }
};

}  // namespace awq::cuda
