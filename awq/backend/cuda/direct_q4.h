// The arrangements of the direct W4 kernel (direct_q4.cuh) that are compiled.
#pragma once

#include <cstdint>

#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

struct DirectArgs {
  const uint8_t* blocks;
  int block_bytes, meta_bytes;
  bool has_zeros;
  float scale;  // of the whole weight
  int row_tiles, blocks_per_row;
  const void* x;
  int64_t x_stride;
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  int m, n, k;
};

struct DirectConfig {
  int cols;   // tiles of 8 rows of x
  int tiles;  // row tiles of 16 outputs a thread block
  int warps;
  const void* f16[3];  // kernels for groups of 32, 64, and more inputs
  const void* bf16[3];
};

void LaunchDirect(const DirectConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                  const LaunchContext& context);

// Named by cols, tiles, warps and depth.
DirectConfig Direct1x1x4x4();
DirectConfig Direct1x1x8x4();
DirectConfig Direct1x1x8x2();
DirectConfig Direct1x1x16x2();
DirectConfig Direct1x1x16x4();
DirectConfig Direct1x2x8x2();
DirectConfig Direct2x1x8x2();
DirectConfig Direct2x1x8x4();
DirectConfig Direct2x2x8x2();
DirectConfig Direct2x1x16x2();
DirectConfig Direct4x1x8x2();
DirectConfig Direct4x2x8x2();
DirectConfig Direct4x2x4x2();
DirectConfig Direct8x2x4x1();

}  // namespace awq::cuda
