#include "awq/backend/cuda/direct_q4.h"

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/direct_q4.cuh"

namespace awq::cuda {

#define AWQ_DIRECT_GROUP(type, groups, ...)                                       \
  {                                                                               \
    reinterpret_cast<const void*>(&DirectQ4<type, groups, false, __VA_ARGS__>),   \
        reinterpret_cast<const void*>(&DirectQ4<type, groups, true, __VA_ARGS__>) \
  }
#define AWQ_DIRECT_TYPE(type, ...)                                                  \
  {                                                                                 \
    AWQ_DIRECT_GROUP(type, 4, __VA_ARGS__), AWQ_DIRECT_GROUP(type, 2, __VA_ARGS__), \
        AWQ_DIRECT_GROUP(type, 1, __VA_ARGS__)                                      \
  }
#define AWQ_DIRECT(cols, tiles, warps, depth, blocks)                                       \
  DirectConfig Direct##cols##x##tiles##x##warps##x##depth##x##blocks() {                    \
    return {cols, tiles, warps, AWQ_DIRECT_TYPE(__half, cols, tiles, warps, depth, blocks), \
            AWQ_DIRECT_TYPE(__nv_bfloat16, cols, tiles, warps, depth, blocks)};             \
  }

AWQ_DIRECT(1, 1, 16, 1, 2)
AWQ_DIRECT(1, 1, 8, 1, 3)
AWQ_DIRECT(1, 1, 8, 1, 4)
AWQ_DIRECT(2, 1, 16, 1, 2)
AWQ_DIRECT(2, 2, 8, 2, 2)
AWQ_DIRECT(2, 2, 4, 2, 4)
AWQ_DIRECT(4, 2, 4, 1, 4)
AWQ_DIRECT(4, 2, 4, 2, 3)
AWQ_DIRECT(8, 2, 4, 1, 2)

DirectArgs DirectArgsOf(const BlockProblem& p) {
  return {.blocks = p.blocks,
          .scale = p.scale * p.scale_unit,
          .row_tiles = static_cast<int>(p.row_tiles),
          .blocks_per_row = static_cast<int>(p.blocks_per_row),
          .x = p.x,
          .x_stride = p.x_stride,
          .bias = p.bias,
          .y = p.y,
          .y_stride = p.y_stride,
          .y_f32 = p.y_f32,
          .gate = p.gate,
          .m = static_cast<int>(p.m),
          .n = static_cast<int>(p.n),
          .k = static_cast<int>(p.k)};
}

void LaunchDirect(const DirectConfig& config, const LinearQ4& p, const DeviceLimits& device,
                  const LaunchContext& context) {
  DirectArgs args = DirectArgsOf(BlocksOf(p, 1.0f));
  const int groups = p.shape.GroupsPerBlock();
  const int which = groups == 4 ? 0 : groups == 2 ? 1 : 2;
  const void* kernel =
      (p.act == DType::kF16 ? config.f16 : config.bf16)[which][p.shape.has_zeros ? 1 : 0];
  cudaLaunchConfig_t launch = {};
  launch.gridDim = dim3(static_cast<unsigned>((args.row_tiles + config.tiles - 1) / config.tiles),
                        static_cast<unsigned>((args.m + 8 * config.cols - 1) / (8 * config.cols)));
  launch.blockDim = dim3(static_cast<unsigned>(32 * config.warps));
  launch.stream = context.stream;
  cudaLaunchAttribute attribute = {};
  if (context.overlap && device.arch >= 90) {
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    launch.attrs = &attribute;
    launch.numAttrs = 1;
  }
  void* parameters[] = {&args};
  AWQ_CUDA(cudaLaunchKernelExC(&launch, kernel, parameters));
}

}  // namespace awq::cuda
