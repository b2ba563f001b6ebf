// Streaming W4 kernels for 1 to 8 rows.
#include "awq/backend/cuda/stream_configs.h"
#include "awq/backend/cuda/stream_q4.cuh"

namespace awq::cuda {

AWQ_STREAM_CONFIG(Gemv16, 1, 1, 1, 8)      // 16 outputs a block, 8 warps along K
AWQ_STREAM_CONFIG(Gemv16Wide, 1, 1, 1, 16)
AWQ_STREAM_CONFIG(Gemv32, 1, 2, 1, 8)
AWQ_STREAM_CONFIG(Gemm8, 1, 1, 4, 2)      // 64 outputs, K over a cluster

}  // namespace awq::cuda
