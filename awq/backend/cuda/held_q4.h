// The arrangements of the W4 linear that keeps x in registers (held_q4.cuh) that are compiled.
#pragma once

#include <atomic>

#include "awq/backend/cuda/gemm_table.h"
#include "awq/backend/cuda/held_plan.h"

namespace awq::cuda {

struct HeldArgs;

struct HeldConfig {
  using Kernel = void (*)(HeldArgs);

  HeldTile tile;
  // Without and with zero points.
  Kernel f16[2];
  Kernel bf16[2];
  std::atomic<int>* clusters;  // that fit on the device, by their thread blocks; 0: not asked yet
};

// Whether the problem fits, on sm_90.
bool SupportsHeld(const HeldConfig& config, const LinearQ4& problem, const DeviceLimits& device);
// Throws kDevice. Asynchronous.
void LaunchHeld(const HeldConfig& config, const LinearQ4& problem, const LaunchContext& context);

HeldConfig Held8x2x8();
HeldConfig Held16x1x8();
HeldConfig Held8x1x16();

}  // namespace awq::cuda
