#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedSandwichKernelF16(const FusedHeads& heads, int inputs) {
  return FusedSandwichKernelOf<__half>(heads, inputs);
}

}  // namespace awq::cuda
