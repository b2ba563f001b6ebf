#include "awq/backend/cuda/attention_launch.cuh"

namespace awq::cuda {

void RunE4m3Attention(const Queue& queue, const DeviceLimits& device, const AttentionShape& shape,
                      const PagedKv& cache, const Batch& batch, const AttentionRows& rows,
                      DType q) {
  if (q == DType::kF16) {
    RunAttention<__half, __nv_fp8_e4m3>(queue, device, shape, cache, batch, rows);
  } else {
    RunAttention<__nv_bfloat16, __nv_fp8_e4m3>(queue, device, shape, cache, batch, rows);
  }
}

}  // namespace awq::cuda
