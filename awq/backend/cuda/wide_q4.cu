#include "awq/backend/cuda/wide_q4.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/tensor_map.h"
#include "awq/backend/cuda/wide_q4.cuh"

namespace awq::cuda {
namespace {

int64_t Tiles(int64_t count, int64_t size) { return (count + size - 1) / size; }

// For experiments.
int MostParts() {
  static const char* given = std::getenv("AWQ_WIDE_PARTS");
  return given == nullptr ? kWideParts : std::clamp(std::atoi(given), 1, kWideParts);
}

// How the work is cut.
struct Plan {
  const void* kernel;
  int threads, shared;
  int64_t m_tiles, n_tiles, steps;
  int parts;  // of a tile's inputs, a cluster of as many thread blocks
};

// How many clusters of so many thread blocks fit on the device at once: each lies in one of the
// groups of up to 18 SMs that the chip is made of, which are not all of one size.
int Clusters(const WideConfig& config, const Plan& plan, int blocks) {
  std::atomic<int>& known = config.clusters[blocks];
  int count = known;
  if (count > 0) return count;
  cudaLaunchConfig_t launch = {};
  launch.gridDim = dim3(static_cast<unsigned>(blocks));
  launch.blockDim = dim3(static_cast<unsigned>(plan.threads));
  launch.dynamicSmemBytes = static_cast<size_t>(plan.shared);
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
  launch.attrs = &cluster;
  launch.numAttrs = 1;
  AWQ_CUDA(cudaOccupancyMaxActiveClusters(&count, plan.kernel, &launch));
  known = count;
  return count;
}

Plan MakePlan(const WideConfig& config, const LinearQ4& p) {
  const int groups = p.shape.GroupsPerBlock();
  const int which = groups == 4 ? 0 : groups == 2 ? 1 : 2;
  const auto& kernels = p.act == DType::kF16 ? config.f16 : config.bf16;
  Plan plan = {.kernel = kernels[which][p.shape.has_zeros ? 1 : 0],
               .threads = config.threads,
               .shared = config.shared(static_cast<int>(p.shape.BlockBytes())),
               .m_tiles = Tiles(p.m, config.rows),
               .n_tiles = Tiles(p.shape.n, 64 * config.warpgroups * config.sharers),
               .steps = p.shape.BlocksPerRow(),
               .parts = 1};
  AWQ_CUDA(
      cudaFuncSetAttribute(plan.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, plan.shared));
  if (config.blocks > 1) {
    AWQ_CUDA(cudaFuncSetAttribute(plan.kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                  cudaSharedmemCarveoutMaxShared));
  }
  if (config.sharers > 1) return plan;
  // As many thread blocks as can work at once; at least two steps of 128 inputs each.
  const int64_t tiles = plan.m_tiles * plan.n_tiles;
  plan.parts = static_cast<int>(std::clamp<int64_t>(plan.steps / 2, 1, MostParts()));
  while (plan.parts > 1 && tiles > Clusters(config, plan, plan.parts)) --plan.parts;
  return plan;
}

}  // namespace

#define AWQ_WIDE_GROUP(type, groups, ...)                                       \
  {                                                                             \
    reinterpret_cast<const void*>(&WideQ4<type, groups, false, __VA_ARGS__>),   \
        reinterpret_cast<const void*>(&WideQ4<type, groups, true, __VA_ARGS__>) \
  }
#define AWQ_WIDE_TYPE(type, ...)                                                \
  {                                                                             \
    AWQ_WIDE_GROUP(type, 4, __VA_ARGS__), AWQ_WIDE_GROUP(type, 2, __VA_ARGS__), \
        AWQ_WIDE_GROUP(type, 1, __VA_ARGS__)                                    \
  }
#define AWQ_WIDE_NAMED(name, step_us, rows, warpgroups, blocks, ...)           \
  WideConfig Wide##name() {                                                    \
    using Size = WideSize<rows, warpgroups, blocks, __VA_ARGS__>;              \
    static std::array<std::atomic<int>, kWideParts + 1> clusters = {};         \
    return {rows,                                                              \
            warpgroups,                                                        \
            blocks,                                                            \
            Size::kSharers,                                                    \
            Size::kThreads,                                                    \
            Size::SharedBytes,                                                 \
            step_us,                                                           \
            AWQ_WIDE_TYPE(__half, Size),                                       \
            AWQ_WIDE_TYPE(__nv_bfloat16, Size),                                \
            clusters.data()};                                                  \
  }
#define AWQ_WIDE(rows, warpgroups, blocks, warps, step_us) \
  AWQ_WIDE_NAMED(rows##x##warpgroups##x##blocks##x##warps, step_us, rows, warpgroups, blocks, warps)

#ifndef WIDE_SET_B
AWQ_WIDE(16, 4, 1, 4, 0.6)
AWQ_WIDE(32, 4, 1, 4, 0.65)
AWQ_WIDE(64, 4, 1, 4, 0.85)
AWQ_WIDE(128, 3, 1, 4, 0.97)
AWQ_WIDE(16, 2, 2, 4, 0.6)
AWQ_WIDE(32, 2, 2, 4, 0.65)
AWQ_WIDE(64, 2, 2, 4, 0.85)
AWQ_WIDE(128, 2, 2, 0, 1.32)
#endif
#ifndef WIDE_SET_A
AWQ_WIDE(128, 4, 1, 4, 1.32)
AWQ_WIDE(256, 2, 1, 4, 1.25)
AWQ_WIDE_NAMED(256x2x1x4x2, 1.22, 256, 2, 1, 4, 2)
AWQ_WIDE_NAMED(128x4x1x4x2, 1.32, 128, 4, 1, 4, 2)
#endif

double WideMicroseconds(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  const Plan plan = MakePlan(config, p);
  const int64_t tiles = plan.m_tiles * plan.n_tiles * config.sharers;
  const int64_t rounds = plan.parts > 1 ? 1 : Tiles(tiles, device.sms * config.blocks);
  const auto steps = static_cast<double>(rounds * Tiles(plan.steps, plan.parts));
  // A step takes longer the more parts there are, and where smaller tiles keep all SMs busy for
  // long.
  const double parts = 1.0 + 0.04 * (plan.parts - 1);
  const double small = p.m > 512 && config.rows * config.warpgroups * config.blocks < 512 ? 1.15 : 1.0;
  return (plan.parts > 1 ? 6.0 : 4.5) + steps * parts * small * config.step_us;
}

void LaunchWide(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device,
                const LaunchContext& context) {
  const Plan plan = MakePlan(config, p);
  WideArgs args = {.x = SwizzledRowsMap(p.x, p.m, p.shape.k, p.x_stride, config.rows / config.sharers),
                   .weights = BlocksMap(p.blocks, p.shape.RowTiles(), plan.steps,
                                        p.shape.BlockBytes(), 4 * config.warpgroups),
                   .scale = p.scale,
                   .blocks_per_row = static_cast<int>(plan.steps),
                   .parts = plan.parts,
                   .bias = p.bias,
                   .y = p.y,
                   .y_stride = p.y_stride,
                   .y_f32 = p.out == DType::kF32,
                   .gate = p.GateArg(),
                   .y_pairs = p.out != DType::kF32 && p.y_stride % 2 == 0 &&
                              reinterpret_cast<uintptr_t>(p.y) % 4 == 0,
                   .m = static_cast<int>(p.m),
                   .n = static_cast<int>(p.shape.n),
                   .m_tiles = static_cast<int>(plan.m_tiles),
                   .n_tiles = static_cast<int>(plan.n_tiles),
                   .m_group = 2048 / config.rows};
  cudaLaunchConfig_t launch = {};
  const int64_t tiles = plan.m_tiles * plan.n_tiles;
  int64_t blocks = tiles * plan.parts;
  if (config.sharers > 1) {
    blocks = config.sharers * std::min<int64_t>(Clusters(config, plan, config.sharers), tiles);
  } else if (plan.parts == 1) {
    blocks = std::min<int64_t>(device.sms * config.blocks, tiles);
  }
  launch.gridDim = dim3(static_cast<unsigned>(blocks));
  launch.blockDim = dim3(static_cast<unsigned>(plan.threads));
  launch.dynamicSmemBytes = static_cast<size_t>(plan.shared);
  launch.stream = context.stream;
  cudaLaunchAttribute attributes[2] = {};
  launch.attrs = attributes;
  const int cluster_blocks = plan.parts * config.sharers;
  if (cluster_blocks > 1) {
    cudaLaunchAttribute& cluster = attributes[launch.numAttrs++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {static_cast<unsigned>(cluster_blocks), 1, 1};
  }
  if (context.overlap) {
    cudaLaunchAttribute& early = attributes[launch.numAttrs++];
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
  }
  void* parameters[] = {&args};
  AWQ_CUDA(cudaLaunchKernelExC(&launch, plan.kernel, parameters));
}

}  // namespace awq::cuda
