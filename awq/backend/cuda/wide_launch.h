// How a kernel of wide_linear.cuh is planned and launched, whatever its weights are.
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>

#include "awq/backend/cuda/block_problem.h"
#include "awq/backend/cuda/gathered_experts.h"
#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/wide_plan.h"

namespace awq::cuda {

struct WideArgs {
  CUtensorMap x;        // rows, 64 inputs × a tile's rows a box
  CUtensorMap weights;  // blocks, one of each row tile of a tile a box; of a warpgroup for pairs
  float scale;          // of the whole weight
  float scale_unit;     // times it: what a scale in the layout counts in the products
  int blocks_per_row;
  int parts;  // of a tile's inputs: the thread blocks of a cluster
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  int gate;      // an Activation, or -1; gate.cuh
  bool y_pairs;  // whether two neighbouring outputs may be stored at once
  int m, n, m_tiles, n_tiles;
  int m_group;  // tiles of rows that all tiles of outputs pass before the next ones
  ExpertRouting routing = {};
  const CUtensorMap* experts = nullptr;  // as weights, of each expert
};

// A compiled kernel; `clusters`: how many clusters of so many thread blocks fit on the device at
// once, 0 if not yet asked.
struct WideKernel {
  WideTile tile;
  const void* function;
  int threads, shared;
  std::atomic<int>* clusters;
};

// Throws kDevice.
WideCut CutFor(const WideKernel& kernel, const BlockProblem& problem, const DeviceLimits& device);
void LaunchWide(const WideKernel& kernel, const BlockProblem& problem, const DeviceLimits& device,
                const LaunchContext& context);

}  // namespace awq::cuda
