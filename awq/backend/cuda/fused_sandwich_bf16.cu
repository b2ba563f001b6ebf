#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedSandwichKernelBF16(const FusedHeads& heads, int inputs) {
  return FusedSandwichKernelOf<__nv_bfloat16>(heads, inputs);
}

}  // namespace awq::cuda
