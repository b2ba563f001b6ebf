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
  // Addresses in shared memory of what lies there (HeldTile, HeldPlan), and of barriers.
  uint32_t sums, exchange, ring;
  uint32_t summed, added, x_arrived, x_taken, arrived, taken, full;
  int rank;         // of this part
  int first_tile;   // of the cluster's row tiles
  int count;        // of them
  int first_block;  // of this part's inputs, of 128
  int num_blocks;   // of them

  __device__ HeldBlock(const HeldArgs& args, uint32_t base) : a(args) {
    const HeldPlan& p = a.plan;
    sums = base + kTile.Sums();
    exchange = base + kTile.Exchange();
    ring = base + p.Ring(kTile);
    summed = base + HeldBarriers::kSummed;
    added = base + HeldBarriers::kAdded;
    x_arrived = base + HeldBarriers::kXArrived;
    x_taken = base + HeldBarriers::kXTaken;
    arrived = base + HeldBarriers::kArrived;
    taken = base + HeldBarriers::kTaken;
    full = base + HeldBarriers::kFull;
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
  __device__ uint32_t PlaceOfX() const { return ring + a.plan.early_slots * a.plan.slot_stride; }

  // By two warps.
  __device__ void MakeBarriers(int warp, int lane) const {
    if (warp == 0) {
      if (lane < a.plan.slots) BarrierInit(full + 8 * lane, 1);
      BarrierInitFence();
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
