// How a kernel of staged_linear.cuh is planned and launched, whatever its weights are.
#pragma once

#include <cstdint>

#include "awq/backend/cuda/block_problem.h"
#include "awq/backend/cuda/device_limits.h"
#include "awq/backend/cuda/gathered_experts.h"
#include "awq/backend/cuda/staged_plan.h"

namespace awq::cuda {

struct StagedArgs {
  const uint8_t* blocks;
  int row_tiles, blocks_per_row;
  float scale;       // of the sums
  float scale_unit;  // times it: what a scale in the layout counts in the products
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

struct StagedKernel {
  StagedTile tile;
  void (*function)(StagedArgs);
  int shared;  // bytes
};

// Whether a device has its instructions, and nothing better: sm_75 has room for tiles of 64 rows
// alone, as many as the direct kernels read weights for, and copies of theirs wait; sm_90 has
// wide_linear.
inline bool WantsStaged(const DeviceLimits& device) {
  return device.arch >= 80 && device.arch != 90;
}
// Whether it has the shared memory, too.
bool FitsStaged(const StagedKernel& kernel, const DeviceLimits& device);
// What it takes, about: to choose among kernels.
double StagedCycles(const StagedKernel& kernel, const BlockProblem& problem,
                    const DeviceLimits& device);
// Bytes; as LaunchContext wants them.
int64_t StagedWorkspace(const StagedKernel& kernel, const BlockProblem& problem,
                        const DeviceLimits& device);
// Throws kDevice. Asynchronous.
void LaunchStaged(const Queue& queue, const DeviceLimits& device, const StagedKernel& kernel,
                  const BlockProblem& problem, void* workspace);
// As many thread blocks as there are items, or as fit at once.
void LaunchStaged(const Queue& queue, const DeviceLimits& device, const StagedKernel& kernel,
                  int64_t items, const StagedArgs& args);

}  // namespace awq::cuda
