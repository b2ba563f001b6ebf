// The choice among the instances of one type of cache; see fused_kernels.h.
#pragma once

#include "awq/backend/cuda/fused_kernels.h"
#include "awq/backend/cuda/fused_layers.cuh"

namespace awq::cuda {

template <typename C, int kEach, int kTurns, bool kExperts = false>
FusedKernel FusedKernelOf(int heads) {
  if (heads == 1) return FusedLayers<C, kEach, 1, kTurns, kExperts>;
  if (heads == 2) return FusedLayers<C, kEach, 2, kTurns, kExperts>;
  if (heads <= 4) return FusedLayers<C, kEach, 4, kTurns, kExperts>;
  return FusedLayers<C, kEach, 8, kTurns, kExperts>;
}

template <typename C>
FusedKernel FusedKernelOf(int head_size, int heads, int inputs) {
  constexpr int kTurn = kFusedThreads * 8;
  if (heads > kMaxFusedGroup || inputs > kMaxFusedTurns * kTurn) return nullptr;
  if (head_size == 128) {
    return inputs <= kTurn ? FusedKernelOf<C, 4, 1>(heads) : FusedKernelOf<C, 4, 2>(heads);
  }
  return head_size == 64 && inputs <= kTurn ? FusedKernelOf<C, 2, 1>(heads) : nullptr;
}

// Of layers with routed experts.
template <typename C>
FusedKernel FusedMoeKernelOf(int head_size, int heads, int inputs) {
  if (heads > kMaxFusedGroup || inputs > kFusedThreads * 8) return nullptr;
  if (head_size == 128) return FusedKernelOf<C, 4, 1, true>(heads);
  return head_size == 64 ? FusedKernelOf<C, 2, 1, true>(heads) : nullptr;
}

}  // namespace awq::cuda
