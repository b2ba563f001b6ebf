#include "awq/backend/cuda/fused_select.cuh"

namespace awq::cuda {

FusedKernel FusedMoeKernelF16(int head_size, int heads, int inputs) {
  return FusedMoeKernelOf<__half>(head_size, heads, inputs);
}

}  // namespace awq::cuda
