#include "awq/backend/cuda/wide_q4.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/wide_q4.cuh"

namespace awq::cuda {
namespace {

constexpr int64_t kFlagBytes = 4096;  // at the start of the workspace

int64_t Tiles(int64_t count, int64_t size) { return (count + size - 1) / size; }

int64_t ImageBytes(const WideConfig& config, const LinearQ4& p) {
  return Tiles(p.m, config.rows) * config.rows * p.shape.BlocksPerRow() * kBlockK * 2;
}

int64_t OutputTiles(const WideConfig& config, const LinearQ4& p) {
  return Tiles(p.m, config.rows) * Tiles(p.shape.n, kWideOutputs);
}

// Into how many parts a tile's inputs are cut, so that as many thread blocks as possible work; at
// least two steps of 128 inputs each.
int64_t Parts(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  const int64_t most = std::max<int64_t>(1, p.shape.BlocksPerRow() / 2);
  return std::clamp<int64_t>(device.sms / OutputTiles(config, p), 1, most);
}

int64_t PartialBytes(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  const int64_t parts = Parts(config, p, device);
  return parts == 1 ? 0 : OutputTiles(config, p) * parts * kWideOutputs * config.rows * 4;
}

// Launches with or without leave to start before its predecessor has ended.
void Launch(const void* kernel, dim3 grid, int threads, int shared, bool overlap,
            cudaStream_t stream, void* args) {
  cudaLaunchConfig_t launch = {};
  launch.gridDim = grid;
  launch.blockDim = dim3(static_cast<unsigned>(threads));
  launch.dynamicSmemBytes = static_cast<size_t>(shared);
  launch.stream = stream;
  cudaLaunchAttribute attribute = {};
  if (overlap) {
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    launch.attrs = &attribute;
    launch.numAttrs = 1;
  }
  void* parameters[] = {args};
  AWQ_CUDA(cudaLaunchKernelExC(&launch, kernel, parameters));
}

}  // namespace

#define AWQ_WIDE_GROUP(type, groups, rows)                               \
  {                                                                      \
    reinterpret_cast<const void*>(&WideQ4<type, groups, false, rows>),   \
        reinterpret_cast<const void*>(&WideQ4<type, groups, true, rows>) \
  }
#define AWQ_WIDE_TYPE(type, rows) \
  { AWQ_WIDE_GROUP(type, 4, rows), AWQ_WIDE_GROUP(type, 2, rows), AWQ_WIDE_GROUP(type, 1, rows) }
#define AWQ_WIDE(rows)                                                                           \
  WideConfig Wide##rows() {                                                                      \
    return {rows, kWideStages<rows>, AWQ_WIDE_TYPE(__half, rows),                                \
            AWQ_WIDE_TYPE(__nv_bfloat16, rows), reinterpret_cast<const void*>(&ArrangeX<rows>)}; \
  }

AWQ_WIDE(32)
AWQ_WIDE(64)
AWQ_WIDE(128)

int64_t WideWorkspace(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  return kFlagBytes + ImageBytes(config, p) + PartialBytes(config, p, device);
}

void LaunchWide(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device,
                const LaunchContext& context) {
  auto* workspace = static_cast<uint8_t*>(context.workspace);
  const int m_tiles = static_cast<int>(Tiles(p.m, config.rows));
  const int blocks_per_row = static_cast<int>(p.shape.BlocksPerRow());
  WideArgs args = {
      .blocks = p.blocks,
      .scale = p.scale,
      .row_tiles = static_cast<int>(p.shape.RowTiles()),
      .blocks_per_row = blocks_per_row,
      .x = p.x,
      .x_stride = p.x_stride,
      .image = workspace + kFlagBytes,
      .parts = static_cast<int>(Parts(config, p, device)),
      .partial = reinterpret_cast<float*>(workspace + kFlagBytes + ImageBytes(config, p)),
      .flags = reinterpret_cast<uint32_t*>(workspace),
      .bias = p.bias,
      .y = p.y,
      .y_stride = p.y_stride,
      .y_f32 = p.out == DType::kF32,
      .y_pairs =
          p.out != DType::kF32 && p.y_stride % 2 == 0 && reinterpret_cast<uintptr_t>(p.y) % 4 == 0,
      .m = static_cast<int>(p.m),
      .n = static_cast<int>(p.shape.n),
      .k = static_cast<int>(p.shape.k),
      .m_tiles = m_tiles,
      .n_tiles = static_cast<int>(Tiles(p.shape.n, kWideOutputs))};
  const int groups = p.shape.GroupsPerBlock();
  const int which = groups == 4 ? 0 : groups == 2 ? 1 : 2;
  const void* kernel =
      (p.act == DType::kF16 ? config.f16 : config.bf16)[which][p.shape.has_zeros ? 1 : 0];
  const int shared = config.stages * WideStageBytes(config.rows, p.shape.BlockBytes()) + 1024;
  AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  // Not before its predecessor has ended: measured, that makes both faster.
  constexpr int kThreads = 64;
  Launch(config.arrange,
         dim3(static_cast<unsigned>(Tiles(4 * blocks_per_row, kThreads)),
              static_cast<unsigned>(m_tiles * config.rows)),
         kThreads, 0, false, context.stream, &args);
  Launch(kernel,
         dim3(static_cast<unsigned>(
             std::min<int64_t>(device.sms, OutputTiles(config, p) * args.parts))),
         128 * (kWideWarpgroups + 1), shared, context.overlap, context.stream, &args);
}

}  // namespace awq::cuda
