#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedMoeKernelF16(const FusedHeads& heads, int inputs) {
  return FusedMoeKernelOf<__half>(heads, inputs);
}

}  // namespace awq::cuda
