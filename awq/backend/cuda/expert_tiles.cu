#include "awq/backend/cuda/expert_tiles.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kPlanThreads = 256;

__global__ void PlanTilesKernel(ExpertTilesPlan plan) {
  BeginKernel();
  plan.Make<kPlanThreads>();
}

}  // namespace

void PlanExpertTiles(const Queue& queue, const Routing& routing, int64_t experts, int rows,
                     const ExpertTiles& out) {
  const ExpertTilesPlan plan{routing.starts.As<const int>(), static_cast<int>(experts), rows, out};
  Launch(queue, PlanTilesKernel, 1, kPlanThreads, 0, plan);
}

}  // namespace awq::cuda
