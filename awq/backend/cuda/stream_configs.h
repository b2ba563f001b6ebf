// The compiled arrangements of the streaming W4 kernel.
#pragma once

#include "awq/backend/cuda/stream_q4.h"

namespace awq::cuda {

StreamConfig Gemv16();
StreamConfig Gemv16Wide();
StreamConfig Gemv32();
StreamConfig Gemm8();
StreamConfig Gemm16();
StreamConfig Gemm16Tall();
StreamConfig Gemm32();
StreamConfig Gemm32Tall();
StreamConfig Gemm64();
StreamConfig Gemm64Tall();

// Defines one of them: nt tiles of 8 rows, mt row tiles a warp, wr x wk warps (stream_q4.cuh).
#define AWQ_STREAM_CONFIG(name, nt, mt, wr, wk)                                     \
  StreamConfig name() {                                                             \
    return {nt, mt, wr, wk,                                                         \
            reinterpret_cast<const void*>(&StreamQ4<__half, nt, mt, wr, wk>),       \
            reinterpret_cast<const void*>(&StreamQ4<__nv_bfloat16, nt, mt, wr, wk>)}; \
  }

}  // namespace awq::cuda
