// The W4 linear for many rows of x by mma.sync (staged_q4.cuh).
#pragma once

#include "awq/backend/cuda/gathered_experts.h"
#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/staged_plan.h"

namespace awq::cuda {

struct StagedArgs {
  const uint8_t* blocks;
  int row_tiles, blocks_per_row;
  float scale;  // of the sums
  const void* x;
  int64_t x_stride;
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  int gate;      // an Activation, or -1; gate.cuh
  bool y_pairs;  // whether two neighbouring outputs may be stored at once
  int m, n, k, m_tiles, n_tiles;
  int m_group;  // tiles of rows that all tiles of outputs pass before the next ones
  int parts;    // of a tile's inputs, which meet in …
  int* met;     // … how many of a tile's have come; zero before and after
  float* sums;  // [tile][part][sum of a thread][thread]
  ExpertRouting routing = {};
};

inline constexpr int kStagedWarps = 8;
inline constexpr int kStagedThreads = 32 * kStagedWarps;

using StagedKernel = void (*)(StagedArgs);
// As many thread blocks as there are items, or as fit at once, `per_sm` an SM at most. Throws
// kDevice. Asynchronous.
void LaunchStaged(const Queue& queue, const DeviceLimits& device, StagedKernel kernel, int shared,
                  int per_sm, int64_t items, const StagedArgs& args);

struct StagedConfig {
  StagedTile tile;
  int (*shared)(int block_bytes);  // bytes
  // Kernels for groups of 32, 64, and more inputs, without and with zero points.
  StagedKernel f16[3][2];
  StagedKernel bf16[3][2];
};

bool SupportsStaged(const StagedConfig& config, const LinearQ4& problem,
                    const DeviceLimits& device);
// What it takes, about: to choose among configurations.
double StagedCycles(const StagedConfig& config, const LinearQ4& problem,
                    const DeviceLimits& device);
int64_t StagedWorkspace(const StagedConfig& config, const LinearQ4& problem,
                        const DeviceLimits& device);
void LaunchStaged(const StagedConfig& config, const LinearQ4& problem, const DeviceLimits& device,
                  const LaunchContext& context);

StagedConfig Staged32x128();
StagedConfig Staged64x128();
StagedConfig Staged64x256();
StagedConfig Staged128x128();
StagedConfig Staged128x256();

}  // namespace awq::cuda
