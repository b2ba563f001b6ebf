#include "awq/backend/cuda/stream_q4.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {
namespace {

constexpr int kAlign = 128;
int RoundUp(int value, int to) { return (value + to - 1) / to * to; }
int CeilDiv(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

// Two blocks fit an SM, so that the next kernel's weights fly while this one ends.
int SharedBudget(const DeviceLimits& device, const StreamConfig& config) {
  return config.nt <= 2 ? device.shared_per_block / 2 - 1024 : device.shared_per_block;
}

void FillShape(const StreamConfig& config, const LinearQ4& p, StreamArgs* a) {
  a->blocks = p.blocks;
  a->block_bytes = p.shape.BlockBytes();
  a->meta_bytes = p.shape.MetaBytes();
  a->quarters = 4 / p.shape.GroupsPerBlock();
  a->quarter_shift = a->quarters == 4 ? 2 : a->quarters == 2 ? 1 : 0;
  a->has_zeros = p.shape.has_zeros;
  a->scale = p.scale;
  a->row_tiles = static_cast<int>(p.shape.RowTiles());
  a->blocks_per_row = static_cast<int>(p.shape.BlocksPerRow());
  a->tiles = CeilDiv(a->row_tiles, config.wr * config.mt);
  a->x = p.x;
  a->x_stride = p.x_stride;
  a->bias = p.bias;
  a->y = p.y;
  a->y_stride = p.y_stride;
  a->y_f32 = p.out == DType::kF32;
  a->m = static_cast<int>(p.m);
  a->n = static_cast<int>(p.shape.n);
  a->k = static_cast<int>(p.shape.k);
}

// Lays out shared memory for panels of `panel` blocks; returns the bytes left for the weight rings.
int PlaceShared(const StreamConfig& config, int budget, int panel, int part, StreamArgs* a) {
  const int warps = config.wr * config.wk;
  const int rows = std::min(a->m, 8 * config.nt);
  const int owned = CeilDiv(config.wr * config.mt, a->cluster);
  const int red_bytes = config.wk * a->cluster * owned * config.nt * 512;
  a->panel = panel;
  a->x_row_bytes = panel * kBlockK * 2 + 16;
  a->x_bytes = RoundUp(rows * a->x_row_bytes, kAlign);
  a->x_buffers = panel >= part ? 1 : 2;
  a->red_buffers = red_bytes <= 16 * 1024 && a->tiles > a->tile_step ? 2 : 1;
  a->red_offset = RoundUp((warps * 32 + 2) * 8, kAlign);  // at most 32 stages
  a->x_offset = a->red_offset + a->red_buffers * red_bytes;
  a->ring_offset = a->x_offset + a->x_buffers * a->x_bytes;
  return budget - a->ring_offset;
}

}  // namespace

bool PlanStream(const StreamConfig& config, const LinearQ4& p, const DeviceLimits& device,
                const StreamTuning& tuning, StreamPlan* plan) {
  StreamArgs& a = plan->args;
  a = {};
  FillShape(config, p, &a);
  const bool clusters = device.arch >= 90;
  a.cluster = tuning.cluster > 0 ? tuning.cluster : 1;
  if (a.cluster > 1 && (!clusters || device.clusters_of[a.cluster] == 0)) return false;
  if (a.blocks_per_row < a.cluster) return false;
  const int at_once = a.cluster == 1 ? device.sms : device.clusters_of[a.cluster];
  const int m_tiles = CeilDiv(p.m, 8 * config.nt);
  a.tile_step = std::min(a.tiles, tuning.grid > 0 ? tuning.grid : std::max(1, at_once / m_tiles));

  const int budget = tuning.smem_budget > 0 ? tuning.smem_budget : SharedBudget(device, config);
  const int warps = config.wr * config.wk;
  const int part = CeilDiv(a.blocks_per_row, a.cluster);
  const int stage_bytes = warps * config.mt * a.block_bytes;
  const int least = std::min(4, tuning.stages > 0 ? tuning.stages : 4);
  // The whole part of x if it leaves room for a deep ring; else two panels in turn.
  int panel = tuning.panel > 0 ? std::min(RoundUp(tuning.panel, config.wk), part) : part;
  int left = PlaceShared(config, budget, panel, part, &a);
  while (left < std::max(least * stage_bytes, tuning.panel > 0 ? 0 : 40 * 1024) &&
         panel > config.wk) {
    panel = RoundUp(std::min(panel - 1, (panel + 1) / 2), config.wk);
    left = PlaceShared(config, budget, panel, part, &a);
  }
  if (device.arch < 90) {
    a.stages = kAsyncStages;
  } else {
    const int useful = CeilDiv(part, config.wk) * CeilDiv(a.tiles, a.tile_step);
    a.stages = std::min({left / stage_bytes, 32, std::max(useful, 2)});
    if (tuning.stages > 0) a.stages = std::min(a.stages, tuning.stages);
  }
  plan->smem_bytes = a.ring_offset + a.stages * stage_bytes;
  plan->grid_x = a.tile_step * a.cluster;
  plan->grid_y = m_tiles;
  plan->threads = 32 * warps;
  return a.stages >= 2 && plan->smem_bytes <= device.shared_per_block;
}

void LaunchStream(const StreamConfig& config, const LinearQ4& p, const DeviceLimits& device,
                  const StreamTuning& tuning, const LaunchContext& context) {
  StreamPlan plan;
  AWQ_CHECK(PlanStream(config, p, device, tuning, &plan), kInternal, "linear_q4: no plan for M=", p.m,
            " N=", p.shape.n, " K=", p.shape.k);
  const void* kernel = p.act == DType::kF16 ? config.f16 : config.bf16;
  AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                device.shared_per_block));
  cudaLaunchConfig_t launch = {};
  launch.gridDim = dim3(static_cast<unsigned>(plan.grid_x), static_cast<unsigned>(plan.grid_y));
  launch.blockDim = dim3(static_cast<unsigned>(plan.threads));
  launch.dynamicSmemBytes = static_cast<size_t>(plan.smem_bytes);
  launch.stream = context.stream;
  cudaLaunchAttribute attributes[2];
  launch.attrs = attributes;
  if (plan.args.cluster > 1) {
    cudaLaunchAttribute& attribute = attributes[launch.numAttrs++];
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = static_cast<unsigned>(plan.args.cluster);
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  }
  if (context.overlap && device.arch >= 90) {
    cudaLaunchAttribute& attribute = attributes[launch.numAttrs++];
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
  }
  void* parameters[] = {&plan.args};
  AWQ_CUDA(cudaLaunchKernelExC(&launch, kernel, parameters));
}

}  // namespace awq::cuda
