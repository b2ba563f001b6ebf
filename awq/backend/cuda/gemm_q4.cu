// Streaming W4 kernels for 9 to 64 rows.
#include "awq/backend/cuda/stream_configs.h"
#include "awq/backend/cuda/stream_q4.cuh"

namespace awq::cuda {

AWQ_STREAM_CONFIG(Gemm16x32, 2, 1, 2, 4, 60)
AWQ_STREAM_CONFIG(Gemm16x64, 2, 1, 4, 2, 60)
AWQ_STREAM_CONFIG(Gemm16x64Wide, 2, 1, 4, 4, 55)
AWQ_STREAM_CONFIG(Gemm32x64, 4, 2, 2, 4, 80)
AWQ_STREAM_CONFIG(Gemm32x128, 4, 2, 4, 2, 80)
AWQ_STREAM_CONFIG(Gemm64x64, 8, 2, 2, 4, 130)
AWQ_STREAM_CONFIG(Gemm64x128, 8, 2, 4, 2, 130)
AWQ_STREAM_CONFIG(Gemm64x256, 8, 2, 8, 1, 130)

}  // namespace awq::cuda
