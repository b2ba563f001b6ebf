#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedMoeKernelBF16(const FusedHeads& heads, int inputs) {
  return FusedMoeKernelOf<__nv_bfloat16>(heads, inputs);
}

}  // namespace awq::cuda
