#include "awq/backend/cuda/stream_q4.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {
namespace {

constexpr int kAlign = 128;
constexpr int kMostStages = 32;
constexpr int kDeepRing = 40 * 1024;  // bytes that keep an SM's share of memory busy
int RoundUp(int value, int to) { return (value + to - 1) / to * to; }
int CeilDiv(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

// Two blocks fit an SM, so that the next kernel's weights fly while this one ends.
int SharedBudget(const DeviceLimits& device, const StreamConfig& config) {
  return config.shared ? device.shared_per_block / 2 - 1024 : device.shared_per_block;
}

void FillShape(const StreamConfig& config, const LinearQ4& p, StreamArgs* a) {
  a->blocks = p.blocks;
  a->block_bytes = p.shape.BlockBytes();
  a->meta_bytes = p.shape.MetaBytes();
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

// Lays out shared memory for x panels of `panel` blocks; returns the bytes left for the weight
// rings.
int PlaceShared(const StreamConfig& config, int budget, int panel, int part, StreamArgs* a) {
  const int warps = config.wr * config.wk;
  const int rows = config.nt == 1 ? a->m : 8 * config.nt;
  const int owned = CeilDiv(config.wr * config.mt, a->cluster);
  const int red_bytes = config.wk * a->cluster * owned * config.nt * 512;
  a->panel = panel;
  a->x_row_bytes = panel * kBlockK * 2 + 64;
  a->x_bytes = RoundUp(rows * a->x_row_bytes, kAlign);
  a->x_buffers = panel >= part ? 1 : 2;
  a->red_buffers = red_bytes <= 16 * 1024 ? 2 : 1;
  a->bar_offset = warps * kMostStages * 8;
  a->red_offset = RoundUp(a->bar_offset + 32, kAlign);
  a->x_offset = a->red_offset + a->red_buffers * red_bytes;
  a->ring_offset = a->x_offset + a->x_buffers * a->x_bytes;
  return budget - a->ring_offset;
}

// The whole part of x where it leaves room for a deep ring, else panels.
int PlacePanels(const StreamConfig& config, int budget, int part, StreamArgs* a) {
  const int unit = config.wk * a->chunk;
  if (config.fixed_panel > 0) return PlaceShared(config, budget, config.fixed_panel, part, a);
  int panel = part;
  int left = PlaceShared(config, budget, panel, part, a);
  while (left < kDeepRing && panel > unit) {
    panel = RoundUp(std::min(panel - 1, (panel + 1) / 2), unit);
    left = PlaceShared(config, budget, panel, part, a);
  }
  return left;
}

// The slowest of memory, L2 and issue slots of the busiest SM, and what a launch costs.
double EstimateUs(const StreamConfig& config, const DeviceLimits& device, int m_tiles, int part,
                  const StreamArgs& a) {
  constexpr double kSmReadBytes = 35.0;  // per ns and SM, of an H200
  constexpr double kSmL2Bytes = 42.0;
  constexpr double kClock = 1.9;
  constexpr double kFixedUs = 1.0;
  const double turns =
      CeilDiv(a.tiles, a.tile_step) *
      std::max(1.0, static_cast<double>(m_tiles) * a.tile_step * a.cluster / device.sms);
  const double blocks = turns * config.wr * config.mt * part;
  const double x_loads = CeilDiv(part, a.panel) <= 2 ? 1 : turns;
  const double x_bytes = x_loads * std::min(a.m, 8 * config.nt) * part * kBlockK * 2;
  const double weights = blocks * a.block_bytes;
  const double ns = std::max(
      {weights / kSmReadBytes, (weights + x_bytes) / kSmL2Bytes, blocks * config.cycles / kClock});
  return 1e-3 * ns + kFixedUs;
}

}  // namespace

bool PlanStream(const StreamConfig& config, const LinearQ4& p, const DeviceLimits& device,
                const StreamTuning& tuning, StreamPlan* plan) {
  StreamArgs& a = plan->args;
  a = {};
  FillShape(config, p, &a);
  a.cluster = tuning.cluster > 0 ? tuning.cluster : 1;
  if (a.cluster > 1 && (device.arch < 90 || device.clusters_of[a.cluster] == 0)) return false;
  if (a.blocks_per_row < a.cluster || config.wr * config.mt < a.cluster) return false;
  const int at_once = a.cluster == 1 ? device.sms : device.clusters_of[a.cluster];
  const int m_tiles = CeilDiv(p.m, 8 * config.nt);
  a.tile_step = std::min(a.tiles, tuning.grid > 0 ? tuning.grid : std::max(1, at_once / m_tiles));

  const int part = CeilDiv(a.blocks_per_row, a.cluster);
  // Two blocks a stage unless that leaves warps without work.
  const bool pairs = part % (2 * config.wk) == 0 || part >= 8 * config.wk;
  a.chunk = tuning.chunk > 0 ? tuning.chunk : pairs ? 2 : 1;
  if (config.fixed_panel > 0) {
    if (config.fixed_panel % config.wk != 0) return false;
    a.chunk = std::min(a.chunk, config.fixed_panel / config.wk);
  }
  const int budget = tuning.smem_budget > 0 ? tuning.smem_budget : SharedBudget(device, config);
  const int warps = config.wr * config.wk;
  a.stage_bytes = config.mt * a.chunk * a.block_bytes;
  const int left = PlacePanels(config, budget, part, &a);
  if (device.arch < 90) {
    a.stages = kAsyncStages;
  } else {
    const int useful = CeilDiv(part, config.wk * a.chunk) * CeilDiv(a.tiles, a.tile_step);
    a.stages = std::min({left / (warps * a.stage_bytes), kMostStages, std::max(useful, 2)});
    if (tuning.stages > 0) a.stages = std::min(a.stages, tuning.stages);
  }
  plan->smem_bytes = a.ring_offset + a.stages * warps * a.stage_bytes;
  plan->grid_x = a.tile_step * a.cluster;
  plan->grid_y = m_tiles;
  plan->threads = 32 * warps;
  plan->estimate_us = EstimateUs(config, device, m_tiles, part, a);
  return a.stages >= 2 && plan->smem_bytes <= device.shared_per_block;
}

void LaunchStream(const StreamConfig& config, const LinearQ4& p, const DeviceLimits& device,
                  const StreamTuning& tuning, const LaunchContext& context) {
  StreamPlan plan;
  AWQ_CHECK(PlanStream(config, p, device, tuning, &plan), kInternal,
            "linear_q4: no plan for M=", p.m, " N=", p.shape.n, " K=", p.shape.k);
  const int groups = p.shape.GroupsPerBlock();
  const StreamKernels& kernels = config.kernels[groups == 4 ? 0 : groups == 2 ? 1 : 2];
  const void* kernel = p.act == DType::kF16 ? kernels.f16 : kernels.bf16;
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
