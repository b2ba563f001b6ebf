// The W4 linear for many rows of x on sm_90a (wide_linear.cuh).
#pragma once

#include <atomic>

#include "awq/backend/cuda/wide_launch.h"

namespace awq::cuda {

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

WideConfig Wide16x4();
WideConfig Wide32x4();
WideConfig Wide64x4();
WideConfig Wide128x4();
WideConfig Wide64x3();
WideConfig Wide128x3();
WideConfig Wide64x2();
WideConfig Wide128x2();
WideConfig Wide256x2();
WideConfig Wide256Twin();
WideConfig Wide128Pair();

}  // namespace awq::cuda
