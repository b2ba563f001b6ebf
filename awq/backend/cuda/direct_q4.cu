#include "awq/backend/cuda/direct_q4.h"

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/direct_q4.cuh"

namespace awq::cuda {

#define AWQ_DIRECT_KERNEL(type, groups, cols, tiles, warps, depth) \
  reinterpret_cast<const void*>(&DirectQ4<type, groups, cols, tiles, warps, depth>)
#define AWQ_DIRECT(cols, tiles, warps, depth)                              \
  DirectConfig Direct##cols##x##tiles##x##warps##x##depth() {              \
    return {cols,                                                          \
            tiles,                                                         \
            warps,                                                         \
            {AWQ_DIRECT_KERNEL(__half, 4, cols, tiles, warps, depth),      \
             AWQ_DIRECT_KERNEL(__half, 2, cols, tiles, warps, depth),      \
             AWQ_DIRECT_KERNEL(__half, 1, cols, tiles, warps, depth)},     \
            {AWQ_DIRECT_KERNEL(__nv_bfloat16, 4, cols, tiles, warps, depth), \
             AWQ_DIRECT_KERNEL(__nv_bfloat16, 2, cols, tiles, warps, depth), \
             AWQ_DIRECT_KERNEL(__nv_bfloat16, 1, cols, tiles, warps, depth)}}; \
  }

AWQ_DIRECT(1, 1, 4, 4)
AWQ_DIRECT(1, 1, 8, 4)
AWQ_DIRECT(1, 1, 8, 2)
AWQ_DIRECT(1, 1, 16, 2)
AWQ_DIRECT(1, 1, 16, 4)
AWQ_DIRECT(1, 2, 8, 2)
AWQ_DIRECT(2, 1, 8, 2)
AWQ_DIRECT(2, 1, 8, 4)
AWQ_DIRECT(2, 2, 8, 2)
AWQ_DIRECT(2, 1, 16, 2)
AWQ_DIRECT(4, 1, 8, 2)
AWQ_DIRECT(4, 2, 8, 2)
AWQ_DIRECT(4, 2, 4, 2)
AWQ_DIRECT(8, 2, 4, 1)

void LaunchDirect(const DirectConfig& config, const LinearQ4& p, const DeviceLimits& device,
                  const LaunchContext& context) {
  DirectArgs args = {.blocks = p.blocks,
                     .block_bytes = p.shape.BlockBytes(),
                     .meta_bytes = p.shape.MetaBytes(),
                     .has_zeros = p.shape.has_zeros,
                     .scale = p.scale,
                     .row_tiles = static_cast<int>(p.shape.RowTiles()),
                     .blocks_per_row = static_cast<int>(p.shape.BlocksPerRow()),
                     .x = p.x,
                     .x_stride = p.x_stride,
                     .bias = p.bias,
                     .y = p.y,
                     .y_stride = p.y_stride,
                     .y_f32 = p.out == DType::kF32,
                     .m = static_cast<int>(p.m),
                     .n = static_cast<int>(p.shape.n),
                     .k = static_cast<int>(p.shape.k)};
  const int groups = p.shape.GroupsPerBlock();
  const int which = groups == 4 ? 0 : groups == 2 ? 1 : 2;
  const void* kernel = p.act == DType::kF16 ? config.f16[which] : config.bf16[which];
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
