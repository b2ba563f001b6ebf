// The arrangements of the direct W4 kernel (direct_q4.cuh) that are compiled.
#pragma once

#include <cstdint>

#include "awq/backend/cuda/block_problem.h"
#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

struct DirectArgs {
  const uint8_t* blocks;
  float scale;  // of the whole weight
  int row_tiles, blocks_per_row;
  const void* x;
  int64_t x_stride;
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  int gate;  // an Activation, or -1; gate.cuh
  int m, n, k;
};

struct DirectConfig {
  int cols;   // tiles of 8 rows of x
  int tiles;  // row tiles of 16 outputs a thread block
  int warps;
  // Kernels for groups of 32, 64, and more inputs, without and with zero points.
  const void* f16[3][2];
  const void* bf16[3][2];
};

DirectArgs DirectArgsOf(const BlockProblem& problem);
void LaunchDirect(const DirectConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                  const LaunchContext& context);

// Named by cols, tiles, warps, depth, and thread blocks that share an SM.
DirectConfig Direct1x1x16x1x2();
DirectConfig Direct1x1x8x1x3();
DirectConfig Direct1x1x8x1x4();
DirectConfig Direct2x1x16x1x2();
DirectConfig Direct2x2x8x2x2();
DirectConfig Direct2x2x4x2x4();
DirectConfig Direct4x2x4x1x4();
DirectConfig Direct4x2x4x2x3();
DirectConfig Direct8x2x4x1x2();

}  // namespace awq::cuda
