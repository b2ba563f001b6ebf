// The kernels of fused_layers.cuh, by what they are compiled for.
#pragma once

#include "awq/backend/cuda/fused_args.h"

namespace awq::cuda {

using FusedKernel = void (*)(FusedArgs);

// For keys and values of f16, bf16 or E4M3; heads: query heads of a group, at most
// kMaxFusedGroup; inputs: the most of qkv, o, gate and up, at most 4096 · kMaxFusedTurns. Null for
// others, and where the kernel is not compiled for this GPU (sm_90).
FusedKernel FusedKernelF16(int head_size, int heads, int inputs);
FusedKernel FusedKernelBF16(int head_size, int heads, int inputs);
FusedKernel FusedKernelE4M3(int head_size, int heads, int inputs);
// Of layers with routed experts; at most 4096 inputs.
FusedKernel FusedMoeKernelF16(int head_size, int heads, int inputs);
FusedKernel FusedMoeKernelBF16(int head_size, int heads, int inputs);
FusedKernel FusedMoeKernelE4M3(int head_size, int heads, int inputs);

}  // namespace awq::cuda
