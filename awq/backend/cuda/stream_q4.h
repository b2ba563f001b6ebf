// What the streaming W4 kernels are told, and how the host fits them to a problem and a device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

// Depth of the cp.async ring (sm_80 … 89), which the compiler must know.
inline constexpr int kAsyncStages = 6;

struct StreamArgs {
  // weights, in blocks of 128 inputs x 16 outputs
  const uint8_t* blocks;
  int block_bytes, meta_bytes;
  int quarters, quarter_shift;  // 32-input quarters in a group (1, 2, 4) and its logarithm
  bool has_zeros;
  float scale;  // of the whole weight
  int row_tiles, blocks_per_row;
  // work
  int tiles, tile_step;  // tiles of WR·MT row tiles; clusters that share them
  int cluster;           // blocks in a cluster, along K
  int panel;             // blocks of 128 inputs of x in shared memory at a time
  // shared memory
  int stages;
  int red_offset, red_buffers;
  int x_offset, x_bytes, x_buffers, x_row_bytes;
  int ring_offset;
  // operands
  const void* x;
  int64_t x_stride;
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  int m, n, k;
};

// A compiled kernel: `nt` tiles of 8 rows of x, `mt` row tiles a warp, wr x wk warps.
struct StreamConfig {
  int nt, mt, wr, wk;
  const void* f16;
  const void* bf16;
};

// How to run it; zero: chosen by PlanStream. Benchmarks set the fields to try alternatives.
struct StreamTuning {
  int cluster = 0;
  int stages = 0;
  int panel = 0;
  int grid = 0;          // clusters
  int smem_budget = 0;   // bytes a block may take
};

struct StreamPlan {
  StreamArgs args;
  int smem_bytes;
  int grid_x, grid_y;
  int threads;
};

// False when no arrangement fits this device.
bool PlanStream(const StreamConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                const StreamTuning& tuning, StreamPlan* plan);
void LaunchStream(const StreamConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                  const StreamTuning& tuning, const LaunchContext& context);

}  // namespace awq::cuda
