#include "awq/backend/cuda/experts_runner.h"

#include <algorithm>

#include "awq/backend/cuda/rows.h"
#include "awq/backend/cuda/staged_experts.h"
#include "awq/backend/cuda/wide_experts.h"

namespace awq::cuda {

void ExpertsRunner::Linear(const Stack& w, const Routing& routing, const TensorView& x,
                           const TensorView& y) {
  if (!Run(w, routing, x, y, {})) AnyMoeLinear(queue_, w, routing, x, y);
}

void ExpertsRunner::Gated(const Stack& w, Activation kind, const Routing& routing,
                          const TensorView& x, const TensorView& y) {
  if (Run(w, routing, x, y, kind)) return;
  const Shape shape{y.dim(0), w.n()};
  void* memory = scratch_.Take(shape.NumElements() * BitsOf(x.dtype) / 8);
  const TensorView both(memory, x.dtype, shape, Device::kCuda);
  AnyMoeLinear(queue_, w, routing, x, both);
  Activate(queue_, kind, both.Columns(0, w.n() / 2), both.Columns(w.n() / 2, w.n()), y);
}

bool ExpertsRunner::Mlp(const Stack& gate_up, Activation kind, const Stack& down,
                        const Routing& routing, const TensorView& x, const TensorView& hidden,
                        const TensorView& y) {
  auto first = FindGathering(gate_up, routing, x, hidden);
  if (!SupportsTiles(gate_up, x, hidden) || !SupportsTiles(down, hidden, y)) {
    const auto second = FindGathering(down, routing, hidden, y);
    if (!first || !second || first->linear != second->linear) return false;
    first->rows = std::min(first->rows, second->rows);
  }
  if (first) {
    GatherAndRun(*first, gate_up, kind, down, routing, x, hidden, y);
    return true;
  }
  const TilePlan plan = PlanTiles(gate_up, routing);
  TiledMoeLinear(queue_, gate_up, routing, plan, x, hidden, kind);
  TiledMoeLinear(queue_, down, routing, plan, hidden, y);
  return true;
}

void ExpertsRunner::GatherAndRun(const Gathering& kernel, const Stack& gate_up, Activation kind,
                                 const Stack& down, const Routing& routing, const TensorView& x,
                                 const TensorView& hidden, const TensorView& y) {
  const GatheredExperts plan = Gather(kernel, gate_up, routing, x);
  kernel.linear(queue_, device_, gate_up, routing, plan, plan.x, hidden, kind, true);
  kernel.linear(queue_, device_, down, routing, plan, hidden, y, {}, false);
}

bool ExpertsRunner::Run(const Stack& w, const Routing& routing, const TensorView& x,
                        const TensorView& y, std::optional<Activation> gate) {
  if (const auto kernel = FindGathering(w, routing, x, y)) {
    const GatheredExperts plan = Gather(*kernel, w, routing, x);
    kernel->linear(queue_, device_, w, routing, plan, plan.x, y, gate, false);
    return true;
  }
  if (!SupportsTiles(w, x, y)) return false;
  TiledMoeLinear(queue_, w, routing, PlanTiles(w, routing), x, y, gate);
  return true;
}

bool ExpertsRunner::SupportsTiles(const Stack& w, const TensorView& x, const TensorView& y) const {
  return cuda::SupportsTiles(w, x, y, device_.arch);
}

std::optional<ExpertsRunner::Gathering> ExpertsRunner::FindGathering(const Stack& w,
                                                                     const Routing& routing,
                                                                     const TensorView& x,
                                                                     const TensorView& y) const {
  const int64_t pairs = routing.pairs.dim(0);
  if (deterministic_) return {};
  if (SupportsTiles(w, x, y) && PrefersWideExperts(w, routing, device_)) {
    return Gathering{RowsOfWideExperts(w.size(), pairs), WideExpertsLinear};
  }
  if (SupportsStagedExperts(w, x, y, device_) && PrefersStagedExperts(w, routing, device_)) {
    return Gathering{RowsOfStagedExperts(w, pairs, device_), StagedExpertsLinear};
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
