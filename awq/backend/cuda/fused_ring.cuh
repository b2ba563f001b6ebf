// A ring of slots in shared memory: one thread asks the copy engine to fill them, all warps that
// compute read each and give it back.
#pragma once

#include "awq/backend/cuda/fused_args.h"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

// Of the threads that compute.
__device__ inline void FusedBarrier() { NamedBarrier(1, kFusedThreads); }

struct Ring {
  uint32_t first, end;  // addresses of the slots
  uint32_t slot_bytes;
  uint32_t first_full;  // the barriers of the first slot
  uint32_t slot, full;  // of the present slot; that of its emptiness is behind the other
  uint32_t phase = 0;

  __device__ Ring(const FusedShared& s, uint32_t base)
      : first(base),
        end(base + s.slots * s.slot_bytes),
        slot_bytes(s.slot_bytes),
        first_full(base + s.barriers),
        slot(base),
        full(base + s.barriers) {}
  __device__ void Next() {
    slot += slot_bytes;
    full += 16;
    if (slot == end) {
      slot = first;
      full = first_full;
      phase ^= 1;
    }
  }
  __device__ void Init() {
    for (; phase == 0; Next()) {
      BarrierInit(full, 1);
      BarrierInit(full + 8, kFusedWarps);
    }
    BarrierInitFence();
  }
  // Who reads.
  __device__ void Wait() const { BarrierWait(full, phase); }
  __device__ void GiveBack() const { BarrierArrive(full + 8); }  // one lane of each warp
};

// Who fills it: not more than `ahead` slots on their way, since what others ask for comes behind.
struct RingFeed : Ring {
  Ring oldest;  // on its way
  unsigned on_way = 0;
  __device__ RingFeed(const FusedShared& s, uint32_t base) : Ring(s, base), oldest(s, base) {}
  // The barrier of the next slot, which is free now and awaits so many bytes.
  __device__ uint32_t Room(uint32_t bytes, unsigned ahead) {
    for (; on_way >= ahead; --on_way) {
      oldest.Wait();
      oldest.Next();
    }
    BarrierWait(full + 8, phase ^ 1);
    BarrierExpect(full, bytes);
    ++on_way;
    return full;
  }
};

// Row tiles of a weight that a thread block takes: neighbours.
struct FusedShare {
  int first, count;
  __device__ FusedShare(int tiles, int blocks, int block) {
    const int base = tiles / blocks;
    const int more = tiles % blocks;
    first = block * base + min(block, more);
    count = base + (block < more ? 1 : 0);
  }
};

}  // namespace awq::cuda
