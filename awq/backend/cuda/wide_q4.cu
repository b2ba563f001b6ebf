#include "awq/backend/cuda/wide_q4.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/tensor_map.h"
#include "awq/backend/cuda/wide_q4.cuh"

namespace awq::cuda {
namespace {

struct Plan {
  const void* kernel;
  int threads, shared;
  WideCut cut;
};

// How many clusters of so many thread blocks fit on the device at once.
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
               .cut = {}};
  AWQ_CUDA(
      cudaFuncSetAttribute(plan.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, plan.shared));
  if (config.tile.blocks > 1) {
    AWQ_CUDA(cudaFuncSetAttribute(plan.kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                  cudaSharedmemCarveoutMaxShared));
  }
  plan.cut = CutWide(config.tile, p.m, p.shape.n, p.shape.BlocksPerRow(),
                     [&](int blocks) { return Clusters(config, plan, blocks); });
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
#define AWQ_WIDE(name)                                                                   \
  WideConfig Wide##name() {                                                              \
    using Size = WideSize<kWide##name.rows, kWide##name.warpgroups, kWide##name.blocks>; \
    static std::array<std::atomic<int>, kWideParts + 1> clusters = {};                   \
    return {kWide##name,                                                                 \
            Size::kThreads,                                                              \
            Size::SharedBytes,                                                           \
            AWQ_WIDE_TYPE(__half, Size),                                                 \
            AWQ_WIDE_TYPE(__nv_bfloat16, Size),                                          \
            clusters.data()};                                                            \
  }

AWQ_WIDE(16x4x1x4)
AWQ_WIDE(32x4x1x4)
AWQ_WIDE(64x4x1x4)
AWQ_WIDE(128x4x1x4)
AWQ_WIDE(128x3x1x4)
AWQ_WIDE(256x2x1x4)
AWQ_WIDE(16x2x2x4)
AWQ_WIDE(32x2x2x4)
AWQ_WIDE(64x2x2x4)

double WideMicroseconds(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  return WideMicroseconds(config.tile, MakePlan(config, p).cut, device.sms);
}

void LaunchWide(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device,
                const LaunchContext& context) {
  const Plan plan = MakePlan(config, p);
  const WideTile& tile = config.tile;
  const WideCut& cut = plan.cut;
  WideArgs args = {.x = SwizzledRowsMap(p.x, p.m, p.shape.k, p.x_stride, tile.rows),
                   .weights = BlocksMap(p.blocks, p.shape.RowTiles(), cut.steps,
                                        p.shape.BlockBytes(), 4 * tile.warpgroups),
                   .scale = p.scale,
                   .blocks_per_row = static_cast<int>(cut.steps),
                   .parts = cut.parts,
                   .bias = p.bias,
                   .y = p.y,
                   .y_stride = p.y_stride,
                   .y_f32 = p.out == DType::kF32,
                   .gate = p.GateArg(),
                   .y_pairs = p.out != DType::kF32 && p.y_stride % 2 == 0 &&
                              reinterpret_cast<uintptr_t>(p.y) % 4 == 0,
                   .m = static_cast<int>(p.m),
                   .n = static_cast<int>(p.shape.n),
                   .m_tiles = static_cast<int>(cut.m_tiles),
                   .n_tiles = static_cast<int>(cut.n_tiles),
                   .m_group = 2048 / tile.rows};
  cudaLaunchConfig_t launch = {};
  int64_t blocks = cut.m_tiles * cut.n_tiles * cut.parts;
  if (cut.parts == 1) blocks = std::min<int64_t>(device.sms * tile.blocks, blocks);
  launch.gridDim = dim3(static_cast<unsigned>(blocks));
  launch.blockDim = dim3(static_cast<unsigned>(plan.threads));
  launch.dynamicSmemBytes = static_cast<size_t>(plan.shared);
  launch.stream = context.stream;
  cudaLaunchAttribute attributes[2] = {};
  launch.attrs = attributes;
  if (cut.parts > 1) {
    cudaLaunchAttribute& cluster = attributes[launch.numAttrs++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {static_cast<unsigned>(cut.parts), 1, 1};
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
