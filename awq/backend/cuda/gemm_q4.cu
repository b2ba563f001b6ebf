// Streaming W4 kernels for 9 to 128 rows.
#include "awq/backend/cuda/stream_configs.h"
#include "awq/backend/cuda/stream_q4.cuh"

namespace awq::cuda {

AWQ_STREAM_CONFIG(Gemm16, 2, 1, 4, 2)   // 64 outputs
AWQ_STREAM_CONFIG(Gemm16Tall, 2, 2, 4, 2)
AWQ_STREAM_CONFIG(Gemm32, 4, 2, 2, 4)
AWQ_STREAM_CONFIG(Gemm32Tall, 4, 2, 4, 2)   // 128 outputs
AWQ_STREAM_CONFIG(Gemm64, 8, 2, 4, 2)
AWQ_STREAM_CONFIG(Gemm64Tall, 8, 2, 8, 1)

}  // namespace awq::cuda
