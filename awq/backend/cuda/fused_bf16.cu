#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedKernelBF16(const FusedHeads& heads, int inputs) {
  return FusedKernelOf<__nv_bfloat16>(heads, inputs);
}

}  // namespace awq::cuda
