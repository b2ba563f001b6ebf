// What a thread block of held_q4 works on: its part of a cluster's row tiles, and its barriers.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/direct_q4.h"
#include "awq/backend/cuda/held_plan.h"

namespace awq::cuda {

struct HeldArgs : DirectArgs {
  HeldPlan plan;
};

template <HeldTile kTile, int kBlockBytes>
struct HeldBlock {
  const HeldArgs& a;
  uint8_t* shared;
  // Addresses in shared memory of what lies there (HeldPlan).
  uint32_t ring, sums, exchange;
  // Barriers: of each slot that it is full; of the window of own row tiles, that all parts' sums
  // have arrived, and that all parts have taken what this one sent; of two row tiles in turn, that
  // all warps have left their sums, and that these are added up, so that there is room for others;
  // of x. (Named barriers instead: 22 µs for 20.8.)
  uint32_t full, arrived, taken, summed, added, x_arrived, x_taken;
  int rank;         // of this part
  int first_tile;   // of the cluster's row tiles
  int count;        // of them
  int first_block;  // of this part's inputs, of 128
  int num_blocks;   // of them

  __device__ HeldBlock(const HeldArgs& args, uint8_t* memory)
      : a(args), shared(memory), ring(SharedAddress(memory)) {
    const HeldPlan& p = a.plan;
    sums = ring + p.Sums();
    exchange = ring + p.Exchange(kTile);
    full = ring + p.Barriers(kTile);
    arrived = full + 8 * p.slots;
    taken = arrived + 8 * p.window;
    summed = taken + 8 * p.window;
    added = summed + 16;
    x_arrived = added + 16;
    x_taken = x_arrived + 8;
    rank = static_cast<int>(ClusterRank());
    const int cluster = ClusterIndex();
    first_tile = cluster * p.tiles + min(cluster, p.longer);
    count = p.tiles + (cluster < p.longer ? 1 : 0);
    first_block = rank * p.part_blocks + min(rank, p.longer_parts);
    num_blocks = p.part_blocks + (rank < p.longer_parts ? 1 : 0);
  }

  // Asks for this part of a row tile.
  __device__ void Fetch(int tile, int slot) const {
    const int64_t at = int64_t{first_tile + tile} * a.blocks_per_row + first_block;
    BarrierExpect(full + 8 * slot, num_blocks * kBlockBytes);
    BulkCopy(ring + slot * a.plan.slot_stride, a.blocks + at * kBlockBytes,
             num_blocks * kBlockBytes, full + 8 * slot);
  }

  // Of x, which arrives in the ring behind the early slots.
  __device__ int RowBytes() const {
    return 2 * (min((first_block + num_blocks) * kBlockK, a.k) - first_block * kBlockK);
  }
  __device__ uint32_t PlaceOfRow(int row) const {
    return a.plan.early_slots * a.plan.slot_stride + row * HeldRowBytes(num_blocks);
  }

  // By two warps, of which the first asks for the first row tiles.
  __device__ void Begin(int warp, int lane) const {
    if (warp == 0) {
      if (lane < a.plan.slots) BarrierInit(full + 8 * lane, 1);
      BarrierInitFence();
      __syncwarp();
      if (lane == 0) {
        for (int s = 0; s < min(a.plan.early_slots, count); ++s) Fetch(s, s);
      }
    } else if (warp == 1) {
      if (lane < a.plan.window) {
        BarrierInit(arrived + 8 * lane, 1);
        BarrierInit(taken + 8 * lane, kTile.cols * a.plan.parts);
      }
      if (lane < 2) {
        BarrierInit(summed + 8 * lane, kTile.warps);
        BarrierInit(added + 8 * lane, kTile.cols);
      }
      if (lane == 0) {
        BarrierInit(x_arrived, 1);
        BarrierInit(x_taken, kTile.warps);
      }
      BarrierInitFence();
      __syncwarp();
      if (lane == 0) BarrierExpect(x_arrived, a.m * RowBytes());
    }
  }
};

}  // namespace awq::cuda
