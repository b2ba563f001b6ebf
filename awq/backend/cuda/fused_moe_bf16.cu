#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedMoeKernelBF16(int head_size, int heads, int inputs) {
  return FusedMoeKernelOf<__nv_bfloat16>(head_size, heads, inputs);
}

}  // namespace awq::cuda
