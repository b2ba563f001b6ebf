#include "awq/backend/cuda/experts_runner.h"

#include "awq/backend/cuda/rows.h"
#include "awq/backend/cuda/staged_experts.h"
#include "awq/backend/cuda/wide_experts.h"

namespace awq::cuda {

void ExpertsRunner::Linear(const Stack& w, const Routing& routing, const TensorView& x,
                           const TensorView& y) {
  if (!Supports(w, x, y)) return AnyMoeLinear(queue_, w, routing, x, y);
  Run(w, routing, x, y, {});
}

void ExpertsRunner::Gated(const Stack& w, Activation kind, const Routing& routing,
                          const TensorView& x, const TensorView& y) {
  if (Supports(w, x, y)) return Run(w, routing, x, y, kind);
  const Shape shape{y.dim(0), w.n()};
  void* memory = scratch_.Take(shape.NumElements() * BitsOf(x.dtype) / 8);
  const TensorView both(memory, x.dtype, shape, Device::kCuda);
  AnyMoeLinear(queue_, w, routing, x, both);
  Activate(queue_, kind, both.Columns(0, w.n() / 2), both.Columns(w.n() / 2, w.n()), y);
}

bool ExpertsRunner::Mlp(const Stack& gate_up, Activation kind, const Stack& down,
                        const Routing& routing, const TensorView& x, const TensorView& hidden,
                        const TensorView& y) {
  if (!Supports(gate_up, x, hidden) || !Supports(down, hidden, y)) return false;
  if (const auto kernel = FindGathering(gate_up, routing)) {
    const GatheredExperts plan = Gather(*kernel, gate_up, routing, x);
    kernel->linear(queue_, device_, gate_up, routing, plan, plan.x, hidden, kind, true);
    kernel->linear(queue_, device_, down, routing, plan, hidden, y, {}, false);
    return true;
  }
  const TilePlan plan = PlanTiles(gate_up, routing);
  TiledMoeLinear(queue_, gate_up, routing, plan, x, hidden, kind);
  TiledMoeLinear(queue_, down, routing, plan, hidden, y);
  return true;
}

void ExpertsRunner::Run(const Stack& w, const Routing& routing, const TensorView& x,
                        const TensorView& y, std::optional<Activation> gate) {
  if (const auto kernel = FindGathering(w, routing)) {
    const GatheredExperts plan = Gather(*kernel, w, routing, x);
    return kernel->linear(queue_, device_, w, routing, plan, plan.x, y, gate, false);
  }
  TiledMoeLinear(queue_, w, routing, PlanTiles(w, routing), x, y, gate);
}

bool ExpertsRunner::Supports(const Stack& w, const TensorView& x, const TensorView& y) const {
  return SupportsTiles(w, x, y, device_.arch);
}

std::optional<ExpertsRunner::Gathering> ExpertsRunner::FindGathering(const Stack& w,
                                                                     const Routing& routing) const {
  const int64_t pairs = routing.pairs.dim(0);
  if (deterministic_) return {};
  if (PrefersWideExperts(w, routing, device_)) {
    return Gathering{RowsOfWideExperts(w.size(), pairs), WideExpertsLinear};
  }
  if (PrefersStagedExperts(w, routing, device_)) {
    return Gathering{RowsOfStagedExperts(w.size(), pairs, device_), StagedExpertsLinear};
  }
  return {};
}

GatheredExperts ExpertsRunner::Gather(const Gathering& kernel, const Stack& w,
                                      const Routing& routing, const TensorView& x) {
  return GatherExperts(queue_, routing, w.size(), kernel.rows, x,
                       scratch_.Take(GatheredBytes(routing, w.size(), kernel.rows, x)));
}

TilePlan ExpertsRunner::PlanTiles(const Stack& w, const Routing& routing) {
  return cuda::PlanTiles(queue_, routing, w.size(),
                         scratch_.Take(TileWorkspace(routing, w.size())));
}

}  // namespace awq::cuda
