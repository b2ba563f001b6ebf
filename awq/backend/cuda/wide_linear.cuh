// The 4- and 8-bit linear for many rows of x on sm_90a: yᵀ = W·xᵀ by wgmma, W expanded in
// registers.
//
// A thread block makes tiles of 128 to 256 outputs × kM rows of x, 64 outputs a warpgroup. Weights
// and x come through a ring in shared memory that one more warpgroup fills: a box of 8 to 16 blocks
// of the layout, and boxes of x, [kM rows][64 inputs], straight from the rows of x, swizzled by the
// copy engine as wgmma reads them. A lane takes the codes of its outputs by ldmatrix
// (wide_codes.cuh), which brings inputs into their own order, and expands them into the A operand,
// multiplied with the scale of their group. (Loads into registers some steps ahead are no way to
// hide the latency of memory here: a warp has six scoreboards, and waiting for one load waits for
// all that share its.)
//
// A thread block takes tiles one after another, or two of them a tile between them (wide_pair.cuh).
// While there are fewer tiles than half the SMs, each tile's inputs may be cut into equal parts, as
// wide_plan.h expects to take least, one for each thread block of a cluster; each sends its sums to
// the block that stores them, which adds them in the order of the parts.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/wgmma.cuh"
#include "awq/backend/cuda/wide_codes.cuh"
#include "awq/backend/cuda/wide_pair.cuh"
#include "awq/backend/cuda/wide_store.cuh"

namespace awq::cuda {

// Item: a WideItem, a TwinItem or PairItem (wide_pair.cuh), or a RoutedItem (wide_experts.cuh).
template <typename T, typename Codes, typename Size, typename Item = WideItem>
__global__ void __launch_bounds__(Size::kBound, 1) WideLinear(const __grid_constant__ WideArgs a) {
#if AWQ_SM90A
  constexpr int kM = Size::kRows;
  constexpr int kWarpgroups = Size::kWarpgroups;
  constexpr int kGroups = Codes::kGroups;
  constexpr int kBlockBytes = Codes::kBlockBytes;
  constexpr int kStages = Size::kStages;
  constexpr int kStageBytes = Size::StageBytes(kBlockBytes);
  static_assert(!Item::kParts || MostBytesOfSums<kM, kWarpgroups>() <= kStages * kStageBytes);
  extern __shared__ uint8_t dynamic[];
  // Full and empty stages; sums have arrived; sums that were sent are taken; the other block of a
  // cluster has room in a stage.
  constexpr int kRooms = Item::kSharesX ? kStages : 0;
  __shared__ uint64_t barriers[2 * kStages + 2 + kRooms];
  uint8_t* ring = dynamic + (1024 - SharedAddress(dynamic) % 1024) % 1024;
  const uint32_t barriers_at = SharedAddress(barriers);
  const uint32_t arrived = barriers_at + 16 * kStages;
  const uint32_t rooms = arrived + 16;
  const int warp = static_cast<int>(threadIdx.x) % 128 / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = static_cast<int>(threadIdx.x) / 128;  // the last one copies

  AllowNextKernel();
  if (Item::kRouted) WaitForPreviousKernel();  // it has said what there is to do
  const int items = Item::Count(a);
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) {
      BarrierInit(barriers_at + 8 * s, 2);  // x and weights
      BarrierInit(barriers_at + 8 * (kStages + s), 4 * kWarpgroups);
    }
    BarrierInit(arrived, 1);
    BarrierInit(arrived + 8, 4);
    for (int s = 0; s < kRooms; ++s) BarrierInit(rooms + 8 * s, 1);
    BarrierInitFence();
    if (Item::kPair) BarrierExpect(arrived, kPairBytes<kM>);
    if constexpr (Item::kParts) {
      if (a.parts > 1) {
        const Item item(a, Item::First());
        const int quads =
            QuadsBefore<kM>(item.part + 1, a.parts) - QuadsBefore<kM>(item.part, a.parts);
        BarrierExpect(arrived, static_cast<uint32_t>((a.parts - 1) * quads * kWarpgroups * 2048));
      }
    }
  }
  __syncthreads();
  if (Item::kSharesX) ClusterArrive();

  if (group == kWarpgroups) {
    GiveRegisters<Size::kLeft>();
    if (Item::kSharesX && warp == 1) ClusterWait();
    if (warp == 1 && lane == 0) {
      PrefetchMap(&a.x);
      WaitForPreviousKernel();
      CopyX<Size, Codes, Item>(a, barriers_at, rooms, SharedAddress(ring), items);
    }
    if (warp == 0 && lane == 0) {
      if (!Item::kRouted) PrefetchMap(&a.weights);
      CopyWeights<Size, Codes, Item>(a, barriers_at, SharedAddress(ring), items);
    }
    return;
  }

  // A block has what it was launched with; asking for more waits for ever.
  TakeRegisters<Size::kRegisters>();
  const int r = lane / 4;
  const int q = lane % 4;
  // This warp's block in the first stage.
  const int block_at = Size::kXBytes + group * Size::GroupBytes(kBlockBytes) + warp * kBlockBytes;
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
  uint32_t barriers_here = barriers_at;
  Keep(barriers_here);
  WideRing<kStages> at(barriers_here);
  int place = 0;         // of the stage, in bytes
  bool running = false;  // whether products of an earlier step may be
  const auto advance = [&] {
    at.Advance();
    place = place == (kStages - 1) * kStageBytes ? 0 : place + kStageBytes;
  };
  // Gives back the stage before the present one.
  const auto give_back = [&] {
    const int stage = at.stage == 0 ? kStages - 1 : at.stage - 1;
    if (lane == 0) BarrierArrive(at.empty + 8 * stage);
  };
  [[maybe_unused]] PairSums<kM> pair(ring + kStages * kStageBytes, arrived);
  for (int i = Item::First(); i < items; i += Item::Takers()) {
    const Item item(a, i);
#pragma unroll
    for (int j = 0; j < kM / 2; ++j) acc[j] = 0.0f;
#pragma unroll 1
    for (int step = item.begin; step < item.end; ++step) {
      if constexpr (Item::kPair) {
        if (!item.template Takes<Size>(step, group)) {  // it has no weights here
          WgmmaWait<0>();
          if (running) give_back();
          running = false;
          BarrierWait(at.Full(), at.phase);
          __syncwarp();
          if (lane == 0) BarrierArrive(at.Empty());
          advance();
          continue;
        }
      }
      BarrierWait(at.Full(), at.phase);
      const uint32_t codes = codes_at + place;
      const uint8_t* block = ring + block_at + place;
      // The same in all lanes, which the compiler does not see.
      const int stage = __shfl_sync(~0u, at.stage, 0);
      const uint64_t b = SwizzledRows(SharedAddress(ring) + stage * kStageBytes);
      uint32_t words[kLoads][4];
      typename Codes::template Meta<T> meta[kGroups];
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
        WgmmaWait<kBuffers - 1>();
        if (batch == kBuffers - 1 && running) give_back();  // the products of the step before
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {  // 16 inputs each
          const int mma = batch * kBatch + t;
          Codes::template Expand<T>(words[t / Codes::kSteps], mma, meta[mma * kGroups / 8],
                                    a_operand[t]);
        }
        WgmmaFence();
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {
          const int mma = batch * kBatch + t;
          Wgmma<T, kM>(acc, a_operand[t], b + mma / 4 * (kM * 128 / 16) + mma % 4 * 2);
        }
        WgmmaCommit();
      }
      running = true;
      advance();
    }
    WgmmaWait<0>();
    WgmmaDone(acc);
    if constexpr (Item::kParts) {
      if (a.parts > 1) {
        ClusterSync();
        ShareSums<T, kM, kWarpgroups>(a, item, acc, ring, arrived);
        return;
      }
    }
    if (!Item::kPair || running) give_back();
    running = false;
    if constexpr (Item::kPair) {
      const int n = item.template FirstOutput<Size>(group) + warp * kTileN + 2 * r;
      if (group < kWarpgroups - 1) {
        StoreTile<T, kM>(a, item.m_tile * kM + 2 * q, n, acc);
        continue;
      }
      float sums[kM / 4];
      pair.Send(item.rank, acc, sums);
      pair.Add(item.rank, i + Item::Takers() < items, sums);
      StoreTile<T, kM / 2>(a, item.m_tile * kM + item.rank * (kM / 2) + 2 * q, n, sums);
      continue;
    }
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
