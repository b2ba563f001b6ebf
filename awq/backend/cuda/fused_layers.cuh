// The layers of a decoder for one token, as one kernel.
//
// grid     a thread block an SM (fused_plan.h), all of them at once; sixteen warps compute, one
//          streams
// weights  what a block needs of them, in the order of its use, comes through a ring in shared
//          memory (fused_ring.cuh), however far the blocks are with exchanging vectors
// linears  each block makes its row tiles of each, one at least (fused_linear.cuh), and hands its
//          outputs to all (fused_hop.cuh); every block keeps the residual stream, and makes the
//          digits of all x
// norms    x times the norm's weight is multiplied, the outputs are divided by the norm
//          sandwiches (FusedSandwich): what a layer adds is normed before, by each block
// bound    HBM while a ring has room; else the way of a vector from block to block, six or,
//          with experts, seven times a layer, and products of what has come already
#pragma once

#include "awq/backend/cuda/fused_attention.cuh"
#include "awq/backend/cuda/fused_feed.cuh"
#include "awq/backend/cuda/fused_thread.cuh"
#include "awq/backend/cuda/wgmma.cuh"

namespace awq::cuda {

// kTurns: of 4096 inputs, for those of all linears but down. kRouted: fused_route.cuh. kUneven:
// groups do not all have as many heads; an instance of its own, since registers are short.
template <typename C, int kD, int kHeads, int kTurns, FusedKind kKind, bool kUneven = false>
__global__ void __launch_bounds__(kFusedBlockThreads, 1)
    FusedLayers(const __grid_constant__ FusedArgs a) {
#if AWQ_SM90A
  constexpr bool kExperts = kKind == FusedKind::kRouted;
  constexpr bool kSandwich = kKind == FusedKind::kSandwich;
  extern __shared__ __align__(128) uint8_t shared[];
  const int warp = static_cast<int>(__shfl_sync(~0u, threadIdx.x / 32, 0));
  const int lane = static_cast<int>(threadIdx.x) % 32;
  auto* layers = reinterpret_cast<FusedLayer*>(shared + a.shared.layers);
  if (threadIdx.x == 0) {
    if (kExperts) BarrierInit(SharedAddress(shared) + a.shared.routed, 1);
    Ring(a.shared, SharedAddress(shared)).Init();
  }
  for (unsigned i = threadIdx.x; i < a.num_layers * sizeof(FusedLayer) / 16; i += blockDim.x) {
    reinterpret_cast<uint4*>(layers)[i] = reinterpret_cast<const uint4*>(a.layers)[i];
  }
  auto* routers = reinterpret_cast<FusedRouter*>(shared + a.shared.routers);
  if (kExperts) {
    for (unsigned i = threadIdx.x; i < a.num_layers; i += blockDim.x) routers[i] = a.routers[i];
  }
  auto* sandwiches = reinterpret_cast<FusedSandwich*>(shared + a.shared.sandwiches);
  if (kSandwich) {
    for (unsigned i = threadIdx.x; i < a.num_layers; i += blockDim.x)
      sandwiches[i] = a.sandwiches[i];
  }
  WaitForPreviousKernel();
  const int block = static_cast<int>(blockIdx.x);
  FusedSplit split(a, block);
  constexpr int kPairs = kD / 2;
  for (int i = static_cast<int>(threadIdx.x); i < (kSandwich ? kMaxFusedReaches : 1) * kPairs;
       i += static_cast<int>(blockDim.x)) {
    const FusedReach& reach = a.reaches[kSandwich ? i / kPairs : 0];
    float sine;
    float cosine;
    sincosf(
        static_cast<float>(*a.positions) * reach.inverse_frequencies[kSandwich ? i % kPairs : i],
        &sine, &cosine);
    reinterpret_cast<float2*>(shared + a.shared.cosines)[i] =
        make_float2(cosine * reach.magnitude, sine * reach.magnitude);
  }
  if (!kSandwich) {
    for (int i = static_cast<int>(threadIdx.x); split.begin + 16 * i < split.end;
         i += static_cast<int>(blockDim.x)) {
      reinterpret_cast<int*>(shared + a.shared.pages)[i] =
          a.table[(split.begin + 16 * i) / a.page_size];
    }
  }
  const uint32_t epoch = *a.epoch;
  __syncthreads();
  if (warp >= kFusedWarps) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 32;");
    if (warp == kFusedWarps && lane == 0) FeedRing<C, kKind>(a, kD, shared, split);
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 112;");
  FusedThread<kTurns, kKind> t(a, shared);
  const int mine = static_cast<int>(threadIdx.x) / 16 * kBlockK + EightInputs::First();
#pragma unroll
  for (int turn = 0; turn < kTurns; ++turn) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int at = mine + turn * kFusedUnits * kBlockK + i / 4 * 32 + i % 4;
      t.residual[turn][i / 4][i % 4] = at < a.hidden ? a.residual[at] : 0.0f;
    }
  }
#pragma unroll 1
  for (int l = 0; l < a.num_layers; ++l) {
    const uint32_t tag = (epoch + l) & 1;
    const FusedLayer& layer = layers[l];
    const FusedRouter router = kExperts ? routers[l] : FusedRouter{};
    const int reach = kSandwich ? sandwiches[l].reach : 0;
    t.template AddNorm<false>(layer.norms[0], l > 0 ? a.fed : nullptr,
                              kSandwich && l > 0 ? sandwiches[l - 1].norms[1] : nullptr, tag ^ 1,
                              t.parts, layer.norms[1], router);
    t.template Multiply<kFusedQkv>(layer, kD, t.parts, a.qkv, tag);
    if (split.takes_part) {
      if constexpr (kSandwich) split.SetKeys(a, reach);
      FusedAttention<C, kD, kHeads, kSandwich, kUneven>(a, layer, l, split, reach, tag, t.ring,
                                                        shared);
    }
    t.template Digits<kTurns>(a.mixed, tag, a.heads * kD / kBlockK);
    t.template Multiply<kFusedO>(layer, kD, nullptr, a.attended, tag);
    t.template AddNorm<kExperts>(
        layer.norms[1], a.attended, kSandwich ? sandwiches[l].norms[0] : nullptr, tag,
        t.parts + kFusedWarps, l + 1 < a.num_layers ? layers[l + 1].norms[0] : nullptr, router);
    t.template Multiply<kFusedGateUp>(layer, kD, t.parts + kFusedWarps, a.ffn_hidden, tag);
    t.template Digits<2>(a.ffn_hidden, tag, a.ffn / kBlockK);
    t.template Multiply<kFusedDown>(layer, kD, nullptr, a.fed, tag);
  }
  if (blockIdx.x != 0) return;
  // All others have read the epoch when their last outputs are here.
  EightInputs x[kTurns] = {};
  t.AwaitAdded(a.fed, kSandwich ? sandwiches[a.num_layers - 1].norms[1] : nullptr,
               (epoch + a.num_layers - 1) & 1, x);
#pragma unroll
  for (int turn = 0; turn < kTurns; ++turn) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int at = mine + turn * kFusedUnits * kBlockK + i / 4 * 32 + i % 4;
      if (at < a.hidden) {
        a.residual[at] = t.residual[turn][i / 4][i % 4] + x[turn].v[i / 4][i % 4];
      }
    }
  }
  if (threadIdx.x == 0) *a.epoch = epoch + a.num_layers;
#else
  __trap();  // compiled for another GPU than it is launched on
#endif
}

}  // namespace awq::cuda
