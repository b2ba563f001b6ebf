// The choice among the instances of one type of cache; see fused_kernels.h.
#pragma once

#include "awq/backend/cuda/fused_kernels.h"
#include "awq/backend/cuda/fused_layers.cuh"

namespace awq::cuda {

template <typename C, int kD, int kTurns, FusedKind kKind = FusedKind::kGated>
FusedKernel FusedKernelOf(int group) {
  if (group == 1) return FusedLayers<C, kD, 1, kTurns, kKind>;
  if (group == 2) return FusedLayers<C, kD, 2, kTurns, kKind>;
  if (group <= 4) return FusedLayers<C, kD, 4, kTurns, kKind>;
  return FusedLayers<C, kD, 8, kTurns, kKind>;
}

// Of groups that do not all have as many heads.
template <typename C>
FusedKernel FusedUnevenKernelOf(const FusedHeads& heads, bool one_turn) {
  constexpr FusedKind kKind = FusedKind::kGated;
  if (heads.group > kMaxUneven) return nullptr;
  if (heads.size == 128) {
    return one_turn ? FusedLayers<C, 128, kMaxUneven, 1, kKind, true>
                    : FusedLayers<C, 128, kMaxUneven, 2, kKind, true>;
  }
  return heads.size == 64 && one_turn ? FusedLayers<C, 64, kMaxUneven, 1, kKind, true> : nullptr;
}

template <typename C>
FusedKernel FusedKernelOf(const FusedHeads& heads, int inputs) {
  constexpr int kTurn = kFusedThreads * 8;
  if (heads.group > kMaxFusedGroup || inputs > kMaxFusedTurns * kTurn) return nullptr;
  const bool one_turn = inputs <= kTurn;
  if (heads.uneven) return FusedUnevenKernelOf<C>(heads, one_turn);
  if (heads.size == 128) {
    return one_turn ? FusedKernelOf<C, 128, 1>(heads.group) : FusedKernelOf<C, 128, 2>(heads.group);
  }
  if (heads.size == 96 && heads.group == 1 && one_turn) {
    return FusedLayers<C, 96, 1, 1, FusedKind::kGated>;
  }
  return heads.size == 64 && one_turn ? FusedKernelOf<C, 64, 1>(heads.group) : nullptr;
}

// Of layers with routed experts.
template <typename C>
FusedKernel FusedMoeKernelOf(const FusedHeads& heads, int inputs) {
  if (heads.uneven || heads.group > kMaxFusedGroup || inputs > kFusedThreads * 8) return nullptr;
  if (heads.size == 128) return FusedKernelOf<C, 128, 1, FusedKind::kRouted>(heads.group);
  return heads.size == 64 ? FusedKernelOf<C, 64, 1, FusedKind::kRouted>(heads.group) : nullptr;
}

// Of sandwiches.
template <typename C>
FusedKernel FusedSandwichKernelOf(const FusedHeads& heads, int inputs) {
  constexpr FusedKind kKind = FusedKind::kSandwich;
  constexpr int kTurn = kFusedThreads * 8;
  if (heads.uneven) return nullptr;
  if (heads.group > kMaxSandwichGroup) return nullptr;
  if (heads.size == 128) {
    return inputs <= kMaxFusedTurns * kTurn ? FusedLayers<C, 128, kMaxSandwichGroup, 2, kKind>
                                            : nullptr;
  }
  return heads.size == 256 && inputs <= kTurn ? FusedLayers<C, 256, kMaxSandwichGroup, 1, kKind>
                                              : nullptr;
}

}  // namespace awq::cuda
