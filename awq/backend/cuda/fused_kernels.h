// The kernels of fused_layers.cuh, by what they are compiled for.
#pragma once

#include "awq/backend/cuda/fused_args.h"

namespace awq::cuda {

using FusedKernel = void (*)(FusedArgs);

struct FusedHeads {
  int size;
  int group;    // query heads of the largest group, at most kMaxFusedGroup
  bool uneven;  // others have one less; of at most kMaxUneven
};
inline constexpr int kMaxUneven = 4;
inline constexpr int kMaxSandwichGroup = 2;

// For keys and values of f16, bf16 or E4M3; inputs: the most of qkv, o, gate and up, at most 4096 ·
// kMaxFusedTurns; heads of 96 elements share no keys. Null for others, and where the kernel is not
// compiled for this GPU (sm_90).
FusedKernel FusedKernelF16(const FusedHeads& heads, int inputs);
FusedKernel FusedKernelBF16(const FusedHeads& heads, int inputs);
FusedKernel FusedKernelE4M3(const FusedHeads& heads, int inputs);
// Of layers with routed experts; at most 4096 inputs, even groups.
FusedKernel FusedMoeKernelF16(const FusedHeads& heads, int inputs);
FusedKernel FusedMoeKernelBF16(const FusedHeads& heads, int inputs);
FusedKernel FusedMoeKernelE4M3(const FusedHeads& heads, int inputs);

// Of sandwiches: even groups of up to kMaxSandwichGroup heads, of 128 elements or, with at most
// 4096 inputs, of 256.
FusedKernel FusedSandwichKernelF16(const FusedHeads& heads, int inputs);
FusedKernel FusedSandwichKernelBF16(const FusedHeads& heads, int inputs);
FusedKernel FusedSandwichKernelE4M3(const FusedHeads& heads, int inputs);

}  // namespace awq::cuda
