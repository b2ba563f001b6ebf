#include "awq/backend/cuda/staged_q4.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/staged_q4.cuh"

namespace awq::cuda {
namespace {

constexpr int64_t kMetBytes = kStagedMostCut * static_cast<int64_t>(sizeof(int));

StagedCut CutFor(const StagedConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  return CutStaged(config.tile, p.m, p.shape.n, p.shape.BlocksPerRow(), device.arch, device.sms);
}

int SharedFor(const StagedConfig& config, const LinearQ4& p) {
  return config.shared(static_cast<int>(p.shape.BlockBytes()));
}

}  // namespace

#define AWQ_STAGED_GROUP(type, groups, size) \
  { &StagedQ4<type, groups, false, size>, &StagedQ4<type, groups, true, size> }
#define AWQ_STAGED_TYPE(type, size)                                   \
  {                                                                   \
    AWQ_STAGED_GROUP(type, 4, size), AWQ_STAGED_GROUP(type, 2, size), \
        AWQ_STAGED_GROUP(type, 1, size)                               \
  }
#define AWQ_STAGED(name, ...)                                                \
  StagedConfig Staged##name() {                                              \
    using Size = StagedSize<__VA_ARGS__>;                                    \
    static_assert(Size::kRows == kStaged##name.rows);                        \
    static_assert(Size::kOutputs == kStaged##name.outputs);                  \
    static_assert(Size::kBlocks == kStaged##name.per_sm);                    \
    return {kStaged##name, Size::SharedBytes, AWQ_STAGED_TYPE(__half, Size), \
            AWQ_STAGED_TYPE(__nv_bfloat16, Size)};                           \
  }

AWQ_STAGED(32x128, 1, 4, 1, 2)
AWQ_STAGED(64x128, 1, 8, 1, 2)
AWQ_STAGED(64x256, 2, 8, 1, 1)
AWQ_STAGED(128x128, 2, 8, 2, 1)
AWQ_STAGED(128x256, 2, 16, 1, 1)

void LaunchStaged(const Queue& queue, const DeviceLimits& device, StagedKernel kernel, int shared,
                  int per_sm, int64_t items, const StagedArgs& args) {
  AWQ_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  // An SM has a kilobyte more than a thread block may have, and a thread block costs one.
  const int fit = (device.shared_per_block + 1024) / (shared + 1024);
  const int64_t places = int64_t{device.sms} * std::min(fit, per_sm);
  Launch(queue, kernel, static_cast<unsigned>(std::min(items, places)), kStagedThreads, shared,
         args);
}

bool SupportsStaged(const StagedConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  return device.arch >= 80 && device.arch != 90 &&
         SharedFor(config, p) <= device.shared_per_block && p.m > 8;
}

double StagedCycles(const StagedConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  return StagedCycles(config.tile, CutFor(config, p, device), device.arch, device.sms);
}

int64_t StagedWorkspace(const StagedConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  const StagedCut cut = CutFor(config, p, device);
  if (cut.parts == 1) return 0;
  return kMetBytes + cut.Items() * config.tile.rows * config.tile.outputs * int64_t{sizeof(float)};
}

void LaunchStaged(const StagedConfig& config, const LinearQ4& p, const DeviceLimits& device,
                  const LaunchContext& context) {
  const StagedCut cut = CutFor(config, p, device);
  const int groups = p.shape.GroupsPerBlock();
  const int which = groups == 4 ? 0 : groups == 2 ? 1 : 2;
  const StagedKernel kernel =
      (p.act == DType::kF16 ? config.f16 : config.bf16)[which][p.shape.has_zeros ? 1 : 0];
  auto* workspace = static_cast<uint8_t*>(context.workspace);
  const StagedArgs args = {
      .blocks = p.blocks,
      .row_tiles = static_cast<int>(p.shape.RowTiles()),
      .blocks_per_row = static_cast<int>(cut.steps),
      .scale = p.scale,
      .x = p.x,
      .x_stride = p.x_stride,
      .bias = p.bias,
      .y = p.y,
      .y_stride = p.y_stride,
      .y_f32 = p.out == DType::kF32,
      .gate = p.GateArg(),
      .y_pairs = p.y_stride % 2 == 0 &&
                 reinterpret_cast<uintptr_t>(p.y) % (p.out == DType::kF32 ? 8 : 4) == 0,
      .m = static_cast<int>(p.m),
      .n = static_cast<int>(p.shape.n),
      .k = static_cast<int>(p.shape.k),
      .m_tiles = static_cast<int>(cut.m_tiles),
      .n_tiles = static_cast<int>(cut.n_tiles),
      .m_group = std::max(1, 2048 / config.tile.rows),
      .parts = cut.parts,
      .met = reinterpret_cast<int*>(workspace),
      .sums = reinterpret_cast<float*>(workspace + (cut.parts > 1 ? kMetBytes : 0))};
  LaunchStaged({context.stream, context.overlap && device.arch >= 90}, device, kernel,
               SharedFor(config, p), config.tile.per_sm, cut.Items(), args);
}

}  // namespace awq::cuda
