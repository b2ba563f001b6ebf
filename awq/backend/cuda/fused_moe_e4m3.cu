#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedMoeKernelE4M3(const FusedHeads& heads, int inputs) {
  return FusedMoeKernelOf<__nv_fp8_e4m3>(heads, inputs);
}

}  // namespace awq::cuda
