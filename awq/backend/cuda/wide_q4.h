// The W4 linear for many rows of x on sm_90a (wide_q4.cuh).
#pragma once

#include <cuda.h>

#include <atomic>
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
  int m_group;  // tiles of rows that all tiles of outputs pass before the next ones
};

struct WideConfig {
  int rows;        // of x a tile: 16, 32, 64, 128, 256
  int warpgroups;  // 64 outputs each
  int blocks;      // thread blocks an SM
  int sharers;     // thread blocks of a cluster that fetch x for each other
  int threads;
  int (*shared)(int block_bytes);  // bytes
  double step_us;  // what 128 inputs of a tile take (H200)
  // Kernels for groups of 32, 64, and more inputs, without and with zero points.
  const void* f16[3][2];
  const void* bf16[3][2];
  // How many clusters of so many thread blocks fit on the device at once, 0 if not yet asked.
  std::atomic<int>* clusters;
};

// What it takes, about: to choose among configurations.
double WideMicroseconds(const WideConfig& config, const LinearQ4& problem,
                        const DeviceLimits& device);
void LaunchWide(const WideConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                const LaunchContext& context);

// Named by rows, warpgroups, thread blocks an SM, warps that copy.
WideConfig Wide16x4x1x4();
WideConfig Wide32x4x1x4();
WideConfig Wide64x4x1x4();
WideConfig Wide128x4x1x4();
WideConfig Wide128x3x1x4();
WideConfig Wide16x2x2x4();
WideConfig Wide32x2x2x4();
WideConfig Wide64x2x2x4();
WideConfig Wide128x2x2x0();
WideConfig Wide256x2x1x4();
WideConfig Wide256x2x1x4x2();
WideConfig Wide128x4x1x4x2();

}  // namespace awq::cuda
