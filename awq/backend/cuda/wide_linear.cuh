// The 4- and 8-bit linear for many rows of x on sm_90a: yᵀ = W·xᵀ by wgmma, W expanded in
// registers.
//
// A thread block makes tiles of 128 to 256 outputs × kM rows of x, 64 outputs a warpgroup. Weights
// and x come through two rings in shared memory that one more warpgroup fills: a box of 8 to 16
// blocks of the layout, and boxes of x, [kM rows][64 inputs], straight from the rows of x, swizzled
// by the copy engine as wgmma reads them. A lane takes the codes of its outputs
// by ldmatrix (wide_codes.cuh), which brings inputs into their own order, and expands them into the
// A operand, multiplied with the scale of their group. (Loads into registers some steps ahead are
// no way to hide the latency of memory here: a warp has six scoreboards, and waiting for one load
// waits for all that share its.)
//
// A thread block takes tiles one after another. While there are fewer tiles than half the thread
// blocks, each tile's inputs are cut into equal parts, one for each thread block of a cluster; each
// sends its sums to the block that stores them, which adds them in the order of the parts.
#pragma once

#include "awq/backend/cuda/wgmma.cuh"
#include "awq/backend/cuda/wide_codes.cuh"
#include "awq/backend/cuda/wide_store.cuh"

namespace awq::cuda {

// Item: a WideItem, or a RoutedItem (wide_experts.cuh).
template <typename T, typename Codes, typename Size, typename Item = WideItem>
__global__ void __launch_bounds__(Size::kThreads, Size::kBlocks)
    WideLinear(const __grid_constant__ WideArgs a) {
#if AWQ_SM90A
  constexpr int kM = Size::kRows;
  constexpr int kWarpgroups = Size::kWarpgroups;
  constexpr int kGroups = Codes::kGroups;
  constexpr int kBlockBytes = Codes::kBlockBytes;
  using CopyX = WideCopies<Size, true, Codes, Item>;
  using CopyWeights = WideCopies<Size, false, Codes, Item>;
  extern __shared__ uint8_t dynamic[];
  // Full and empty stages of x, then of weights; sums have arrived.
  __shared__ uint64_t barriers[2 * Size::kXStages + 2 * Size::kStages + 1];
  uint8_t* x_ring = dynamic + (1024 - SharedAddress(dynamic) % 1024) % 1024;
  uint8_t* ring = x_ring + Size::kXStages * Size::kXBytes;
  const uint32_t x_barriers = SharedAddress(barriers);
  const uint32_t weight_barriers = x_barriers + 16 * Size::kXStages;
  const uint32_t arrived = weight_barriers + 16 * Size::kStages;
  const int warp = static_cast<int>(threadIdx.x) % 128 / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = static_cast<int>(threadIdx.x) / 128;  // the last one copies
  const int first_item = static_cast<int>(blockIdx.x);
  const int blocks = static_cast<int>(gridDim.x);

  AllowNextKernel();
  if (Item::kRouted) WaitForPreviousKernel();  // it has said what there is to do
  const int items = Item::Count(a);
  if (threadIdx.x == 0) {
    for (int s = 0; s < Size::kXStages; ++s) {
      BarrierInit(x_barriers + 8 * s, 1);
      BarrierInit(x_barriers + 8 * (Size::kXStages + s), 4 * kWarpgroups);
    }
    for (int s = 0; s < Size::kStages; ++s) {
      BarrierInit(weight_barriers + 8 * s, 1);
      BarrierInit(weight_barriers + 8 * (Size::kStages + s), 4 * kWarpgroups);
    }
    BarrierInit(arrived, 1);
    BarrierInitFence();
    if (!Item::kRouted && a.parts > 1) {
      const WideItem item(a, first_item);
      const int quads =
          QuadsBefore<kM>(item.part + 1, a.parts) - QuadsBefore<kM>(item.part, a.parts);
      BarrierExpect(arrived, static_cast<uint32_t>((a.parts - 1) * quads * kWarpgroups * 2048));
    }
  }
  __syncthreads();

  if (group == kWarpgroups) {
    GiveRegisters<Size::kLeft>();
    if (warp == 1 && lane == 0) {
      CopyX copy(a, x_barriers, SharedAddress(x_ring));
      PrefetchMap(&a.x);
      WaitForPreviousKernel();
      while (!copy.Done()) copy.Copy(a);
    }
    if (warp == 0 && lane == 0) {
      CopyWeights copy(a, weight_barriers, SharedAddress(ring));
      if (!Item::kRouted) PrefetchMap(&a.weights);
      while (!copy.Done()) copy.Copy(a);
    }
    return;
  }

  // A block has what it was launched with; asking for more waits for ever.
  TakeRegisters<Size::kRegisters>();
  const int r = lane / 4;
  const int q = lane % 4;
  const int block_at = (group * 4 + warp) * kBlockBytes;  // this warp's, in a stage
  const uint32_t codes_at = SharedAddress(ring) + block_at + Codes::FirstPlace(lane);
  const int turn = Codes::Turn(Codes::FirstPlace(lane));
  float acc[kM / 2];
  // mma steps expanded at a time, while the products of as many others run. With 128 rows and few
  // registers there is no room for a second batch (ptxas would wait for each product), nor, for
  // some codes, for more than two steps.
  constexpr int kBuffers = Size::kBuffers;
  constexpr int kBatch = kM == 128 && Size::kRegisters < 128 && Codes::kSmallBatches ? 2 : 4;
  constexpr int kBatches = 8 / kBatch;
  constexpr int kLoads = (kBatch + Codes::kSteps - 1) / Codes::kSteps;  // of codes, for a batch
  uint32_t operand[kBuffers][kBatch][4];
  WideRing<Size::kXStages> at_x(x_barriers);
  WideRing<Size::kStages> at(weight_barriers);
  bool running = false;  // whether products of an earlier step may be
  // Gives back the stage of x before the present one.
  const auto give_back = [&] {
    const int stage = at_x.stage == 0 ? Size::kXStages - 1 : at_x.stage - 1;
    if (lane == 0) BarrierArrive(at_x.empty + 8 * stage);
  };
  for (int i = first_item; i < items; i += blocks) {
    const Item item(a, i);
#pragma unroll
    for (int j = 0; j < kM / 2; ++j) acc[j] = 0.0f;
#pragma unroll 1
    for (int step = item.begin; step < item.end; ++step) {
      BarrierWait(at.Full(), at.phase);
      const uint32_t codes = codes_at + at.stage * Size::StageBytes(kBlockBytes);
      const uint8_t* block = ring + at.stage * Size::StageBytes(kBlockBytes) + block_at;
      uint32_t words[kLoads][4];
      typename Codes::Meta meta[kGroups];
#pragma unroll
      for (int g = 0; g < kGroups; ++g) meta[g].Load(block, g, r, a.scale_unit);
#pragma unroll
      for (int batch = 0; batch < kBatches; ++batch) {
#pragma unroll
        for (int load = 0; load < kLoads; ++load) {
          const int mma = batch * kBatch + load * Codes::kSteps;
          if (mma % Codes::kSteps != 0) continue;
          LoadMatrices(codes + Codes::Further(mma, turn), words[load]);
        }
        auto& a_operand = operand[batch % kBuffers];
        if (batch == 0) BarrierWait(at_x.Full(), at_x.phase);
        WgmmaWait<kBuffers - 1>();
        if (batch == kBuffers - 1 && running) give_back();  // the products of the step before
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {  // 16 inputs each
          const int mma = batch * kBatch + t;
          Codes::template Expand<T>(words[t / Codes::kSteps], mma, meta[mma * kGroups / 8],
                                    a_operand[t]);
        }
        const uint64_t b = SwizzledRows(SharedAddress(x_ring) + at_x.stage * Size::kXBytes);
        WgmmaFence();
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {
          const int mma = batch * kBatch + t;
          Wgmma<T, kM>(acc, a_operand[t], b + mma / 4 * (kM * 128 / 16) + mma % 4 * 2);
        }
        WgmmaCommit();
      }
      running = true;
      if (lane == 0) BarrierArrive(at.Empty());
      at.Advance();
      at_x.Advance();
    }
    WgmmaWait<0>();
    if constexpr (!Item::kRouted) {
      if (a.parts > 1) {
        ClusterSync();
        ShareSums<T, kM, kWarpgroups>(a, item, acc, x_ring, arrived);
        return;
      }
    }
    give_back();
    running = false;
    const int n = item.n_tile * 64 * kWarpgroups + (group * 4 + warp) * kTileN + 2 * r;
    if constexpr (Item::kRouted) {
      item.template Store<T, kM>(a, 2 * q, n, acc);
    } else {
      StoreTile<T, kM>(a, item.m_tile * kM + 2 * q, n, acc);
    }
  }
#endif
}

}  // namespace awq::cuda
