// Streaming W4 kernels for 1 to 8 rows.
#include "awq/backend/cuda/stream_configs.h"
#include "awq/backend/cuda/stream_q4.cuh"

namespace awq::cuda {

AWQ_STREAM_CONFIG(Gemv16, 1, 1, 1, 16, 45)
AWQ_STREAM_CONFIG(Gemv32, 1, 1, 2, 8, 45)
AWQ_STREAM_CONFIG(Gemv64, 1, 1, 4, 4, 45)

}  // namespace awq::cuda
