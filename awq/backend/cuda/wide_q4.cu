#include "awq/backend/cuda/wide_q4.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/tensor_map.h"
#include "awq/backend/cuda/wide_q4.cuh"

namespace awq::cuda {
namespace {

int64_t Tiles(int64_t count, int64_t size) { return (count + size - 1) / size; }

// Into how many parts a tile's inputs are cut, so that as many thread blocks as possible work at
// once; at least two steps of 128 inputs each. The parts of a tile are a cluster, which lies in one
// of the groups of 16 or 18 SMs that the chip is made of.
int Parts(int64_t tiles, int64_t steps, int64_t sms) {
  constexpr int kGroup = 16;
  int parts = static_cast<int>(std::min<int64_t>(kWideParts, std::max<int64_t>(1, steps / 2)));
  while (parts > 1 && tiles > sms / kGroup * (kGroup / parts)) --parts;
  return parts;
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
#define AWQ_WIDE(rows, warpgroups)                                                        \
  WideConfig Wide##rows##x##warpgroups() {                                                \
    return {rows, warpgroups, kWideStages<rows>, AWQ_WIDE_TYPE(__half, rows, warpgroups), \
            AWQ_WIDE_TYPE(__nv_bfloat16, rows, warpgroups)};                              \
  }

AWQ_WIDE(16, 4)
AWQ_WIDE(32, 4)
AWQ_WIDE(64, 4)
AWQ_WIDE(128, 4)
AWQ_WIDE(128, 3)

void LaunchWide(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device,
                const LaunchContext& context, int copy) {
  const int64_t m_tiles = Tiles(p.m, config.rows);
  const int64_t n_tiles = Tiles(p.shape.n, 64 * config.warpgroups);
  const int64_t tiles = m_tiles * n_tiles;
  const int64_t steps = p.shape.BlocksPerRow();
  const int parts = Parts(tiles, steps, device.sms);
  const bool pair = copy == 6 && parts == 1 && tiles > 1;
  if (copy == 6) copy = 1;
  WideArgs args = {
      .x = SwizzledRowsMap(p.x, p.m, p.shape.k, p.x_stride, pair ? config.rows / 2 : config.rows),
      .weights = BlocksMap(p.blocks, p.shape.RowTiles(), steps, p.shape.BlockBytes(),
                           4 * config.warpgroups),
      .blocks = p.blocks,
      .copy = copy,
      .row_tiles = static_cast<int>(p.shape.RowTiles()),
      .scale = p.scale,
      .blocks_per_row = static_cast<int>(steps),
      .parts = parts,
      .pair = pair,
      .bias = p.bias,
      .y = p.y,
      .y_stride = p.y_stride,
      .y_f32 = p.out == DType::kF32,
      .y_pairs =
          p.out != DType::kF32 && p.y_stride % 2 == 0 && reinterpret_cast<uintptr_t>(p.y) % 4 == 0,
      .m = static_cast<int>(p.m),
      .n = static_cast<int>(p.shape.n),
      .m_tiles = static_cast<int>(m_tiles),
      .n_tiles = static_cast<int>(n_tiles)};
  const int groups = p.shape.GroupsPerBlock();
  const int which = groups == 4 ? 0 : groups == 2 ? 1 : 2;
  const void* kernel =
      (p.act == DType::kF16 ? config.f16 : config.bf16)[which][p.shape.has_zeros ? 1 : 0];
  const int shared =
      config.stages * WideStageBytes(config.rows, config.warpgroups, p.shape.BlockBytes()) + 1024;
  AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));

  cudaLaunchConfig_t launch = {};
  const int64_t grid =
      pair        ? std::min<int64_t>(device.sms / 2 * 2, m_tiles * ((n_tiles + 1) / 2 * 2))
      : parts > 1 ? tiles * parts
                  : std::min<int64_t>(device.sms, tiles);
  launch.gridDim = dim3(static_cast<unsigned>(grid));
  launch.blockDim = dim3(static_cast<unsigned>(128 * (config.warpgroups + 1)));
  launch.dynamicSmemBytes = static_cast<size_t>(shared);
  launch.stream = context.stream;
  cudaLaunchAttribute attributes[2] = {};
  launch.attrs = attributes;
  if (parts > 1 || pair) {
    cudaLaunchAttribute& cluster = attributes[launch.numAttrs++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {static_cast<unsigned>(pair ? 2 : parts), 1, 1};
  }
  if (context.overlap) {
    cudaLaunchAttribute& early = attributes[launch.numAttrs++];
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
  }
  void* parameters[] = {&args};
  AWQ_CUDA(cudaLaunchKernelExC(&launch, kernel, parameters));
}

}  // namespace awq::cuda
