// Which rows of which prompts a thread block of attention_wgmma.cuh has: 128 at a time, the next
// ones while it computes, from a counter that all blocks share.
#pragma once

#include "awq/backend/cuda/attention.cuh"

namespace awq::cuda {

inline constexpr int kWgmmaRows = 128;

struct RowTile {
  int sequence = -1;  // -1: there are no more
  int g = 0;
  int first_row = 0;
  KeySpan span{};
};

// The item'th of all prompts' row tiles, of each kv head in turn; of a prompt late ones first,
// which see most keys. By a whole warp.
__device__ inline RowTile FindRowTile(const AttentionShape& a, int item) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int heads = a.heads / a.kv_heads;
  RowTile out;
  int tile = item / a.kv_heads;
  for (int from = 0; from < a.sequences; from += 32) {
    const int b = from + lane;
    SequenceRows sequence;
    if (b < a.sequences) sequence = SequenceRows(a, b);
    const int rows = sequence.tokens * heads;
    const int end = WarpSumUpTo(rows > a.short_rows ? (rows + kWgmmaRows - 1) / kWgmmaRows : 0);
    const unsigned has = __ballot_sync(~0u, tile < end);
    if (has != 0) {
      const int which = __ffs(static_cast<int>(has)) - 1;
      out.sequence = from + which;
      out.g = item % a.kv_heads;
      out.first_row = (__shfl_sync(~0u, end, which) - 1 - tile) * kWgmmaRows;
      sequence.begin = __shfl_sync(~0u, sequence.begin, which);
      sequence.tokens = __shfl_sync(~0u, sequence.tokens, which);
      sequence.keys = __shfl_sync(~0u, sequence.keys, which);
      out.span = KeySpan(a, sequence, out.first_row, kWgmmaRows);
      break;
    }
    tile -= __shfl_sync(~0u, end, 31);
  }
  return out;
}

// Hands the row tiles of a block, but the first, which is that of its own number, from the warp
// that finds them to all that work on them.
class RowTileQueue {
 public:
  static constexpr int kPlaces = 2;

  __device__ RowTileQueue(RowTile* places, uint32_t barriers)
      : places_(places), barriers_(barriers) {}
  // By one thread; warps: that take each tile.
  __device__ void Init(int warps) const {
    for (int n = 0; n < kPlaces; ++n) {
      BarrierInit(Full(n), 1);
      BarrierInit(Empty(n), warps);
    }
  }
  // By one warp: the n'th tile of this block after its first, of `items` of all, which must be as
  // many as FindRowTile finds. counter: of those that blocks have asked for; once a tile, so that
  // the last to ask, who is told that there are no more, makes it 0 again.
  __device__ void Put(const AttentionShape& a, int n, int items, int* counter) const {
    const bool leads = threadIdx.x % 32 == 0;
    int item = 0;
    if (leads) {
      item = atomicAdd(counter, 1);
      if (item == items - 1) *counter = 0;
      item += static_cast<int>(gridDim.x);
    }
    item = __shfl_sync(~0u, item, 0);
    const RowTile tile = item < items ? FindRowTile(a, item) : RowTile{};
    BarrierWait(Empty(n), n / kPlaces % 2 ^ 1);
    if (leads) {
      places_[n % kPlaces] = tile;
      BarrierArrive(Full(n));
    }
  }
  // By whole warps, each once for every n.
  __device__ RowTile Take(int n) const {
    BarrierWait(Full(n), n / kPlaces % 2);
    const RowTile tile = places_[n % kPlaces];
    __syncwarp();
    if (threadIdx.x % 32 == 0) BarrierArrive(Empty(n));
    return tile;
  }

 private:
  __device__ uint32_t Full(int n) const { return barriers_ + n % kPlaces * 16; }
  __device__ uint32_t Empty(int n) const { return Full(n) + 8; }

  RowTile* places_;
  uint32_t barriers_;
};

}  // namespace awq::cuda
