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
  bool has_zeros;
  float scale;  // of the whole weight
  int row_tiles, blocks_per_row;
  // work
  int tiles, tile_step;  // tiles of WR·MT row tiles; clusters that share them
  int cluster;           // blocks in a cluster, along K
  int chunk;             // blocks of 128 inputs in a stage, along K
  int panel;             // blocks of 128 inputs of x in one buffer
  // shared memory
  int bar_offset;  // 2 barriers of x panels, 2 of partial sums; the rings' come before
  int red_offset, red_buffers;
  int x_offset, x_bytes, x_buffers, x_row_bytes;
  int ring_offset, stages, stage_bytes;
  // operands
  const void* x;
  int64_t x_stride;
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  int m, n, k;
};

// Of the kernel's template (stream_q4.cuh): nt tiles of 8 rows of x, mt row tiles a warp.
// Codes go to the tensor cores as they are where that saves more than the extra mma for Σx costs.
template <int NT, int MT>
inline constexpr bool kRawCodes = NT <= 2;
// Registers for two blocks an SM: the next kernel's weights fly while this one ends.
template <int NT, int kWarps>
inline constexpr int kBlocksPerSm = NT == 1 || (NT == 2 && kWarps <= 8) ? 2 : 1;
// Blocks of 128 inputs in a panel of x, when the compiler is to know the stride of its rows; else
// 0.
template <int NT>
inline constexpr int kFixedPanel = NT >= 4 ? 16 / NT : 0;

struct StreamKernels {
  const void* f16;
  const void* bf16;
};
// A compiled arrangement: wr x wk warps, and the kernels for groups of 32, 64 and more inputs.
struct StreamConfig {
  int nt, mt, wr, wk;
  int fixed_panel;
  bool shared;    // two blocks fit an SM
  double cycles;  // an SM's for a block of 16 x 128, measured
  StreamKernels kernels[3];
};

// How to run it; zero: chosen by PlanStream. Benchmarks set the fields to try alternatives.
struct StreamTuning {
  int cluster = 0;
  int stages = 0;
  int chunk = 0;
  int grid = 0;         // clusters
  int smem_budget = 0;  // bytes a block may take
};

struct StreamPlan {
  StreamArgs args;
  int smem_bytes;
  int grid_x, grid_y;
  int threads;
  double estimate_us;
};

// False when no arrangement fits this device.
bool PlanStream(const StreamConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                const StreamTuning& tuning, StreamPlan* plan);
void LaunchStream(const StreamConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                  const StreamTuning& tuning, const LaunchContext& context);

}  // namespace awq::cuda
