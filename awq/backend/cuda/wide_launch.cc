#include "awq/backend/cuda/wide_launch.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/tensor_map.h"

namespace awq::cuda {
namespace {

void AllowShared(const WideKernel& kernel) {
  AWQ_CUDA(cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                kernel.shared));
}

int Clusters(const WideKernel& kernel, int blocks) {
  return CountClusters(kernel.clusters[blocks], kernel.function, kernel.threads, kernel.shared,
                       blocks);
}

}  // namespace

WideCut CutFor(const WideKernel& kernel, const BlockProblem& p, const DeviceLimits& device) {
  return CutWide(kernel.tile, p.m, p.n, p.blocks_per_row, device.sms,
                 [&](int blocks) { return Clusters(kernel, blocks); });
}

void LaunchWide(const WideKernel& kernel, const BlockProblem& p, const DeviceLimits& device,
                const LaunchContext& context) {
  const WideTile& tile = kernel.tile;
  const WideCut cut = CutFor(kernel, p, device);
  AllowShared(kernel);
  WideArgs args = {.x = SwizzledRowsMap(p.x, p.m, p.k, p.x_stride, tile.rows),
                   .weights = BlocksMap(p.blocks, p.row_tiles, cut.steps, p.block_bytes,
                                        4 * (tile.share == WideShare::kTile ? 1 : tile.warpgroups)),
                   .scale = p.scale,
                   .scale_unit = p.scale_unit,
                   .blocks_per_row = static_cast<int>(cut.steps),
                   .parts = cut.parts,
                   .bias = p.bias,
                   .y = p.y,
                   .y_stride = p.y_stride,
                   .y_f32 = p.y_f32,
                   .gate = p.gate,
                   .y_pairs = StoresPairs(p.y, p.y_stride, p.y_f32),
                   .m = static_cast<int>(p.m),
                   .n = static_cast<int>(p.n),
                   .m_tiles = static_cast<int>(cut.m_tiles),
                   .n_tiles = static_cast<int>(cut.n_tiles),
                   .m_group = 2048 / tile.rows};
  cudaLaunchConfig_t launch = {};
  const int of_cluster = tile.Blocks() * cut.parts;
  int64_t clusters = cut.m_tiles * cut.n_tiles;
  if (tile.Blocks() > 1) clusters = std::min<int64_t>(Clusters(kernel, of_cluster), clusters);
  if (of_cluster == 1) clusters = std::min<int64_t>(device.sms, clusters);
  const int64_t blocks = clusters * of_cluster;
  AWQ_CHECK(blocks > 0, kDevice, "backend cuda: this GPU has no room for a cluster of ", of_cluster,
            " thread blocks");
  launch.gridDim = dim3(static_cast<unsigned>(blocks));
  launch.blockDim = dim3(static_cast<unsigned>(kernel.threads));
  launch.dynamicSmemBytes = static_cast<size_t>(kernel.shared);
  launch.stream = context.stream;
  cudaLaunchAttribute attributes[2] = {};
  launch.attrs = attributes;
  if (of_cluster > 1) {
    cudaLaunchAttribute& cluster = attributes[launch.numAttrs++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {static_cast<unsigned>(of_cluster), 1, 1};
  }
  if (context.overlap) {
    cudaLaunchAttribute& early = attributes[launch.numAttrs++];
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
  }
  void* parameters[] = {&args};
  AWQ_CUDA(cudaLaunchKernelExC(&launch, kernel.function, parameters));
}

}  // namespace awq::cuda
