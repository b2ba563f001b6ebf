#include "awq/backend/cuda/held_q4.h"

#include <array>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/held_q4.cuh"
#include "awq/backend/cuda/launch.h"

namespace awq::cuda {
namespace {

HeldConfig::Kernel KernelOf(const HeldConfig& config, const LinearQ4& p) {
  return (p.act == DType::kF16 ? config.f16 : config.bf16)[p.shape.has_zeros ? 1 : 0];
}

// Whatever the types: shared memory and launch bounds decide how many fit.
int Clusters(const HeldConfig& config, const LinearQ4& p, int blocks) {
  return CountClusters(config.clusters[blocks], reinterpret_cast<const void*>(KernelOf(config, p)),
                       config.tile.Threads(), config.tile.shared, blocks);
}

std::optional<HeldPlan> PlanOf(const HeldConfig& config, const LinearQ4& p) {
  return PlanHeld(config.tile, p.shape, p.m,
                  [&](int blocks) { return Clusters(config, p, blocks); });
}

}  // namespace

#define AWQ_HELD_TYPE(type, name) \
  { &HeldQ4<type, false, HeldTile##name>, &HeldQ4<type, true, HeldTile##name> }
#define AWQ_HELD(name)                                                                    \
  struct HeldTile##name {                                                                 \
    static constexpr HeldTile kTile = kHeld##name;                                        \
  };                                                                                      \
  HeldConfig Held##name() {                                                               \
    static std::array<std::atomic<int>, kHeldParts + 1> clusters = {};                    \
    return {kHeld##name, AWQ_HELD_TYPE(__half, name), AWQ_HELD_TYPE(__nv_bfloat16, name), \
            clusters.data()};                                                             \
  }

AWQ_HELD(8x2x8)
AWQ_HELD(16x1x8)
AWQ_HELD(8x1x16)

bool SupportsHeld(const HeldConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  return device.arch == 90 && PlanOf(config, p).has_value();
}

void LaunchHeld(const HeldConfig& config, const LinearQ4& p, const LaunchContext& context) {
  const std::optional<HeldPlan> plan = PlanOf(config, p);
  AWQ_CHECK(plan, kDevice, "held_q4: no plan for M=", p.m, " N=", p.shape.n, " K=", p.shape.k);
  const HeldConfig::Kernel kernel = KernelOf(config, p);
  AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                config.tile.shared));
  LaunchClusters({.stream = context.stream, .overlap = context.overlap}, kernel,
                 dim3(static_cast<unsigned>(plan->clusters * plan->parts)),
                 dim3(static_cast<unsigned>(plan->parts)),
                 dim3(static_cast<unsigned>(config.tile.Threads())), plan->SharedBytes(config.tile),
                 HeldArgs{DirectArgsOf(BlocksOf(p, 1.0f)), *plan});
}

}  // namespace awq::cuda
