// The W4 linear for many rows of x on sm_90a (wide_q4.cuh).
#pragma once

#include <cuda.h>

#include <cstdint>

#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

struct WideArgs {
  CUtensorMap x;        // rows, 64 inputs × a tile's rows a box
  CUtensorMap weights;  // blocks, one of each row tile of a tile a box
  float scale;          // of the whole weight
  int blocks_per_row;
  int parts;  // of a tile's inputs: the thread blocks of a cluster
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  int gate;      // an Activation, or -1; gate.cuh
  bool y_pairs;  // whether two neighbouring 16-bit outputs may be stored at once
  int m, n, m_tiles, n_tiles;
};

struct WideConfig {
  int rows;        // of x a tile: 16, 32, 64, 128
  int warpgroups;  // 64 outputs each
  int stages;      // of the ring
  double step_us;  // what 128 inputs of a tile take (H200)
  // Kernels for groups of 32, 64, and more inputs, without and with zero points.
  const void* f16[3][2];
  const void* bf16[3][2];
};

// What it takes, about: to choose among configurations.
double WideMicroseconds(const WideConfig& config, const LinearQ4& problem,
                        const DeviceLimits& device);
void LaunchWide(const WideConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                const LaunchContext& context);

// Named by rows and warpgroups.
WideConfig Wide16x4();
WideConfig Wide32x4();
WideConfig Wide64x4();
WideConfig Wide128x4();
WideConfig Wide128x3();

}  // namespace awq::cuda
