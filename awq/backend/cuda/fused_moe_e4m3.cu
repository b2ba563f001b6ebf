#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedMoeKernelE4M3(int head_size, int heads, int inputs) {
  return FusedMoeKernelOf<__nv_fp8_e4m3>(head_size, heads, inputs);
}

}  // namespace awq::cuda
