// The W4 linear for many rows of x on sm_90a (wide_q4.cuh).
#pragma once

#include <cstdint>

#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

inline constexpr int kWideOutputs = 256;  // outputs a thread block

struct WideArgs {
  const uint8_t* blocks;
  float scale;  // of the whole weight
  int row_tiles, blocks_per_row;
  const void* x;
  int64_t x_stride;
  uint8_t* image;   // of x, as ArrangeX makes it
  int parts;        // of a tile's inputs
  float* partial;   // [tiles][parts][256][rows] sums of tiles in parts
  uint32_t* flags;  // [tiles][4 warpgroups][2]: parts that are there, parts that are done; 0 before
                    // and after
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  bool y_pairs;  // whether two neighbouring 16-bit outputs may be stored at once
  int m, n, k, m_tiles, n_tiles;
};

struct WideConfig {
  int rows;    // of x a tile: 32, 64, 128
  int stages;  // of the ring
  // Kernels for groups of 32, 64, and more inputs, without and with zero points.
  const void* f16[3][2];
  const void* bf16[3][2];
  const void* arrange;
};

int64_t WideWorkspace(const WideConfig& config, const LinearQ4& problem,
                      const DeviceLimits& device);
void LaunchWide(const WideConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                const LaunchContext& context);

// Named by rows.
WideConfig Wide32();
WideConfig Wide64();
WideConfig Wide128();

}  // namespace awq::cuda
