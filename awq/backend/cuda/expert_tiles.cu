#include "awq/backend/cuda/expert_tiles.h"

#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kPlanThreads = 1024;

// One block: tiles of at most `rows` pairs, those of expert 0 first.
__global__ void PlanTilesKernel(const int* starts, int experts, int rows, int* count,
                                ExpertTile* tiles) {
  __shared__ int sums[kPlanThreads];
  BeginKernel();
  const int thread = static_cast<int>(threadIdx.x);
  int first = 0;  // tiles of the experts before
  for (int base = 0; base < experts; base += kPlanThreads) {
    const int e = base + thread;
    const int begin = e < experts ? starts[e] : 0;
    const int end = e < experts ? starts[e + 1] : 0;
    const int mine = (end - begin + rows - 1) / rows;
    sums[thread] = mine;
    __syncthreads();
    for (int step = 1; step < kPlanThreads; step *= 2) {
      const int add = thread >= step ? sums[thread - step] : 0;
      __syncthreads();
      sums[thread] += add;
      __syncthreads();
    }
    const int at = first + sums[thread] - mine;
    for (int i = 0; i < mine; ++i) {
      tiles[at + i] = {e, begin + i * rows, min(begin + (i + 1) * rows, end)};
    }
    first += sums[kPlanThreads - 1];
    __syncthreads();
  }
  if (thread == 0) *count = first;
}

}  // namespace

void PlanExpertTiles(const Queue& queue, const Routing& routing, int64_t experts, int rows,
                     const ExpertTiles& out) {
  Launch(queue, PlanTilesKernel, 1, kPlanThreads, 0, routing.starts.As<const int>(),
         static_cast<int>(experts), rows, out.count, out.tiles);
}

}  // namespace awq::cuda
