#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedKernelF16(const FusedHeads& heads, int inputs) {
  return FusedKernelOf<__half>(heads, inputs);
}

}  // namespace awq::cuda
