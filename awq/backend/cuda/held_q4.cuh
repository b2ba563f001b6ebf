// The W4 linear for up to 16 rows of x on sm_90: weights stream through shared memory, x stays in
// registers.
//
// y[M, N] = x[M, K] · dequant(W)[N, K]     M <= 16; groups of 128 inputs or more
// cluster  its thread blocks share the inputs, and go through row tiles of 16 outputs
// block    its warps share its inputs: each keeps the x of up to two blocks of 128 as operands of
//          the tensor cores for all row tiles. What a thread block needs of a row tile is one piece
//          of memory, which the copy engine brings into a ring of slots, from before x is there;
//          x comes the same way, into the last slots
// sums     of the warps meet in shared memory, where warps of their own add them up; those of a
//          cluster in that of one block for each row tile, in turn
//
// Codes are operands as they lie (held_codes.cuh); scale and zero point enter in the f32 sums of a
// block, the latter by the sums of x.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/held_adder.cuh"
#include "awq/backend/cuda/held_products.cuh"

namespace awq::cuda {

// Of: has the arrangement, kTile (the host's compiler does not know one as an argument).
template <typename T, bool kZeros, typename Of>
__global__ void __launch_bounds__(Of::kTile.Threads(), Of::kTile.per_sm)
    HeldQ4(const __grid_constant__ HeldArgs a) {
#if AWQ_SM90
  constexpr HeldTile kTile = Of::kTile;
  constexpr int kBlockBytes = kCodeBytes + 2 * kTileN + (kZeros ? kTileN : 0);
  extern __shared__ __align__(128) uint8_t shared[];
  const HeldBlock<kTile, kBlockBytes> b(a, SharedAddress(shared));
  const int warp = __shfl_sync(~0u, static_cast<int>(threadIdx.x) / 32, 0);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const HeldPlan& plan = a.plan;

  AllowNextKernel();
  b.MakeBarriers(warp - kTile.warps, lane);
  __syncthreads();
  if (plan.parts > 1) ClusterArrive();
  if (warp >= kTile.warps) {
    HeldAdder<T, kTile, kBlockBytes>(b, static_cast<int>(threadIdx.x) - 32 * kTile.warps).Run();
    return;
  }

  const uint32_t row_bytes = b.RowBytes();
  const uint32_t row_stride = HeldRowBytes(b.num_blocks);
  const T* from = static_cast<const T*>(a.x) + warp * a.x_stride + b.first_block * kBlockK;
  const uint32_t x_place = b.PlaceOfX();
  WaitForPreviousKernel();  // x is the previous kernel's
  for (int row = warp; row < a.m; row += kTile.warps, from += kTile.warps * a.x_stride) {
    if (lane == 0) BulkCopy(x_place + row * row_stride, from, row_bytes, b.x_arrived);
  }
  __syncwarp();
  BarrierWait(b.x_arrived, 0);
  HeldInputs<T, kTile> inputs;
  inputs.Load(x_place, row_stride, row_bytes, a.m, warp, lane);
  __syncwarp();
  if (lane == 0) BarrierArrive(b.x_taken);
  if (plan.parts > 1) ClusterWait();

  const int r = lane / 4;
  const int q = lane % 4;
  // Where this lane's sums go: of row 8c + 2q; the next row is half a tile further on.
  uint32_t sums_at[kTile.cols];
#pragma unroll
  for (int c = 0; c < kTile.cols; ++c) {
    sums_at[c] =
        b.sums + warp * kTile.TileBytes() + 4 * HeldSumIndex(kTile.Rows(), 8 * c + 2 * q, 2 * r);
    Keep(sums_at[c]);
  }
  // Where it finds its blocks of a slot; one that it does not have is another, times zeros.
  const uint32_t ring = b.ring + (warp < b.num_blocks ? warp * kBlockBytes : 0);
  uint32_t codes = ring + 16 * PlaceOfLane(lane);
  uint32_t scales = ring + kCodeBytes + 4 * r;
  uint32_t zeros = ring + kCodeBytes + 2 * kTileN + 2 * r;
  const uint32_t second = warp + kTile.warps < b.num_blocks ? kTile.warps * kBlockBytes : 0;
  Keep(codes), Keep(scales), Keep(zeros);
  const uint32_t ring_bytes = plan.slots * plan.slot_stride;
  uint32_t slot = 0;       // of the row tile whose products begin, from the ring's beginning
  uint32_t full = b.full;  // its barrier
  uint32_t phase = 0;
  uint32_t lap = 1;  // of both turns' sums, from the one before the first
  HeldWeights weights[kHeldBlocks];
  HeldProducts<T, kTile> products[kHeldBlocks];
  const auto load = [&](int h) {
    const uint32_t at = slot + (h == 0 ? 0 : second);
    weights[h].template Load<kZeros>(codes + at, scales + at, zeros + at);
  };
  // A row tile whose weights are loaded and whose first products have begun. What comes next is
  // loaded, and its products begin, before sums are taken.
  const auto finish = [&](int turn, auto more) {
    constexpr bool kMore = decltype(more)::value;
    float total[kTile.cols][4] = {};
    if (kMore) {
      slot += plan.slot_stride;
      full += 8;
      if (slot == ring_bytes) slot = 0, full = b.full, phase ^= 1;
      BarrierWait(full, phase);
      load(0);
    }
    products[1].Begin(weights[1], inputs, 1);
    products[0].AddTo(total, inputs, 0);
    if (kMore) {
      load(1);
      products[0].Begin(weights[0], inputs, 0);
    }
    products[1].AddTo(total, inputs, 1);
    BarrierWait(b.added + 8 * turn, lap);
#pragma unroll
    for (int c = 0; c < kTile.cols; ++c) {
      const uint32_t to = sums_at[c] + turn * kTile.warps * kTile.TileBytes();
      StoreSharedPair(to, total[c][0], total[c][2]);
      StoreSharedPair(to + kTile.TileBytes() / 2, total[c][1], total[c][3]);
    }
    __syncwarp();
    if (lane == 0) BarrierArrive(b.summed + 8 * turn);
    if (turn == 1) lap ^= 1;
  };
  BarrierWait(full, phase);
  load(0);
  load(1);
  products[0].Begin(weights[0], inputs, 0);
  inputs.Add();  // behind the first products
  int i = 0;
  for (; i + 2 < b.count; i += 2) finish(0, std::true_type()), finish(1, std::true_type());
  if (i + 1 < b.count) {
    finish(0, std::true_type());
    finish(1, std::false_type());
  } else {
    finish(0, std::false_type());
  }
#endif
}

}  // namespace awq::cuda
