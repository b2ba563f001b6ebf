#include "awq/backend/cuda/gathered_experts.h"

#include "awq/backend/cuda/expert_tiles.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kGatherThreads = 128;

// The first block plans tiles, each other one copies the row of x of a pair, in the order of pairs.
__global__ void GatherKernel(const int* pairs, int pairs_per_row, const uint4* x, int64_t x_stride,
                             uint4* to, int columns, ExpertTilesPlan plan) {
  BeginKernel();
  if (blockIdx.x == 0) return plan.Make<kGatherThreads>();
  const int64_t pair = static_cast<int64_t>(blockIdx.x) - 1;
  const int64_t row = pairs[pair] / pairs_per_row;
  for (int c = static_cast<int>(threadIdx.x); c < columns; c += kGatherThreads) {
    to[pair * columns + c] = x[row * x_stride + c];
  }
}

}  // namespace

int64_t GatheredBytes(const Routing& routing, int64_t experts, int rows, const TensorView& x) {
  const int64_t pairs = routing.pairs.dim(0);
  return ExpertTiles::NumBytes(pairs, experts, rows) + 2 * pairs * x.dim(1);
}

GatheredExperts GatherExperts(const Queue& queue, const Routing& routing, int64_t experts, int rows,
                              const TensorView& x, void* workspace) {
  const int64_t pairs = routing.pairs.dim(0);
  const int64_t k = x.dim(1);
  const ExpertTiles tiles(workspace);
  void* gathered = static_cast<char*>(workspace) + ExpertTiles::NumBytes(pairs, experts, rows);
  Launch(queue, GatherKernel, static_cast<unsigned>(pairs) + 1, kGatherThreads, 0,
         routing.pairs.As<const int>(), static_cast<int>(pairs / x.dim(0)),
         static_cast<const uint4*>(x.data), x.strides[0] / 8, static_cast<uint4*>(gathered),
         static_cast<int>(k / 8),
         ExpertTilesPlan{routing.starts.As<const int>(), static_cast<int>(experts), rows, tiles});
  return {rows, tiles, TensorView(gathered, x.dtype, {pairs, k}, Device::kCuda)};
}

bool HaveRows(const Stack& w, const Routing& routing, int64_t of_small, int64_t of_large) {
  const int64_t tokens = routing.experts.dim(0);
  const int64_t pairs = tokens * routing.experts.dim(1);
  const bool small = w.n() * w.k() < int64_t{32} << 20;
  return tokens > 1 && pairs >= (small ? of_small : of_large) * w.size();
}

ExpertRouting RoutingOf(const GatheredExperts& plan, const Stack& w, const Routing& routing,
                        bool in_order) {
  return {.tile_count = plan.tiles.count,
          .tiles = plan.tiles.tiles,
          .pairs = in_order ? nullptr : routing.pairs.As<const int>(),
          .stack = w.on_device()};
}

}  // namespace awq::cuda
