#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedKernelBF16(int head_size, int heads, int inputs) {
  return FusedKernelOf<__nv_bfloat16>(head_size, heads, inputs);
}

}  // namespace awq::cuda
