#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedKernelF16(int head_size, int heads, int inputs) {
  return FusedKernelOf<__half>(head_size, heads, inputs);
}

}  // namespace awq::cuda
