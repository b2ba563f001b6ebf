// The compiled arrangements of the streaming W4 kernel.
#pragma once

#include "awq/backend/cuda/stream_q4.h"

namespace awq::cuda {

// Up to 8 rows of x.
StreamConfig Gemv16();  // 16 outputs a tile, 16 warps along K
StreamConfig Gemv32();
StreamConfig Gemv64();
// Up to 16.
StreamConfig Gemm16x32();
StreamConfig Gemm16x64();
StreamConfig Gemm16x64Wide();
// Up to 32.
StreamConfig Gemm32x64();
StreamConfig Gemm32x128();
// Up to 64 in a tile of rows.
StreamConfig Gemm64x64();
StreamConfig Gemm64x128();
StreamConfig Gemm64x256();

// Defines one of them: nt tiles of 8 rows, mt row tiles a warp, wr x wk warps (stream_q4.cuh).
#define AWQ_STREAM_CONFIG(name, nt, mt, wr, wk, cycles)                                    \
  StreamConfig name() {                                                                    \
    return {nt,                                                                            \
            mt,                                                                            \
            wr,                                                                            \
            wk,                                                                            \
            kFixedPanel<nt>,                                                               \
            kBlocksPerSm<nt, wr * wk> == 2,                                                \
            cycles,                                                                        \
            {AWQ_STREAM_KERNELS(nt, mt, wr, wk, 1), AWQ_STREAM_KERNELS(nt, mt, wr, wk, 2), \
             AWQ_STREAM_KERNELS(nt, mt, wr, wk, 4)}};                                      \
  }
#define AWQ_STREAM_KERNELS(nt, mt, wr, wk, quarters)                                      \
  {                                                                                       \
    reinterpret_cast<const void*>(&StreamQ4<__half, nt, mt, wr, wk, quarters>),           \
        reinterpret_cast<const void*>(&StreamQ4<__nv_bfloat16, nt, mt, wr, wk, quarters>) \
  }

}  // namespace awq::cuda
