#include "awq/backend/cuda/staged_launch.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/launch.h"

namespace awq::cuda {
namespace {

constexpr int64_t kMetBytes = kStagedMostCut * static_cast<int64_t>(sizeof(int));

// With as many thread blocks an SM as fit: an SM has a kilobyte more than a thread block may have,
// and a thread block costs one.
StagedTile TileOn(const StagedKernel& kernel, const DeviceLimits& device) {
  StagedTile tile = kernel.tile;
  tile.per_sm =
      std::clamp((device.shared_per_block + 1024) / (kernel.shared + 1024), 1, tile.per_sm);
  return tile;
}

StagedCut CutFor(const StagedKernel& kernel, const BlockProblem& p, const DeviceLimits& device) {
  return CutStaged(TileOn(kernel, device), p.m, p.n, p.blocks_per_row, device.arch, device.sms);
}

}  // namespace

bool FitsStaged(const StagedKernel& kernel, const DeviceLimits& device) {
  return WantsStaged(device) && kernel.shared <= device.shared_per_block;
}

double StagedCycles(const StagedKernel& kernel, const BlockProblem& p, const DeviceLimits& device) {
  return StagedCycles(kernel.tile, CutFor(kernel, p, device), device.arch, device.sms);
}

int64_t StagedWorkspace(const StagedKernel& kernel, const BlockProblem& p,
                        const DeviceLimits& device) {
  const StagedCut cut = CutFor(kernel, p, device);
  if (cut.parts == 1) return 0;
  return kMetBytes + cut.Items() * kernel.tile.rows * kernel.tile.outputs * int64_t{sizeof(float)};
}

void LaunchStaged(const Queue& queue, const DeviceLimits& device, const StagedKernel& kernel,
                  const BlockProblem& p, void* workspace) {
  const StagedCut cut = CutFor(kernel, p, device);
  auto* bytes = static_cast<uint8_t*>(workspace);
  const StagedArgs args = {
      .blocks = p.blocks,
      .row_tiles = static_cast<int>(p.row_tiles),
      .blocks_per_row = static_cast<int>(cut.steps),
      .scale = p.scale,
      .scale_unit = p.scale_unit,
      .x = p.x,
      .x_stride = p.x_stride,
      .bias = p.bias,
      .y = p.y,
      .y_stride = p.y_stride,
      .y_f32 = p.y_f32,
      .gate = p.gate,
      .y_pairs = StoresPairs(p.y, p.y_stride, p.y_f32),
      .m = static_cast<int>(p.m),
      .n = static_cast<int>(p.n),
      .k = static_cast<int>(p.k),
      .m_tiles = static_cast<int>(cut.m_tiles),
      .n_tiles = static_cast<int>(cut.n_tiles),
      .m_group = 2048 / kernel.tile.rows,
      .parts = cut.parts,
      .met = reinterpret_cast<int*>(bytes),
      .sums = cut.parts == 1 ? nullptr : reinterpret_cast<float*>(bytes + kMetBytes)};
  LaunchStaged(queue, device, kernel, cut.Items(), args);
}

void LaunchStaged(const Queue& queue, const DeviceLimits& device, const StagedKernel& kernel,
                  int64_t items, const StagedArgs& args) {
  AWQ_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel.function),
                                cudaFuncAttributeMaxDynamicSharedMemorySize, kernel.shared));
  const int64_t places = int64_t{device.sms} * TileOn(kernel, device).per_sm;
  Launch(queue, kernel.function, static_cast<unsigned>(std::min(items, places)), kStagedThreads,
         kernel.shared, args);
}

}  // namespace awq::cuda
