// The W4 linear for many rows of x on sm_90a (wide_q4.cuh).
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>

#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/wide_plan.h"

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
  WideTile tile;
  int threads;
  int (*shared)(int block_bytes);  // bytes
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

WideConfig Wide16x4x1x4();
WideConfig Wide32x4x1x4();
WideConfig Wide64x4x1x4();
WideConfig Wide128x4x1x4();
WideConfig Wide128x3x1x4();
WideConfig Wide256x2x1x4();
WideConfig Wide16x2x2x4();
WideConfig Wide32x2x2x4();
WideConfig Wide64x2x2x4();

}  // namespace awq::cuda
