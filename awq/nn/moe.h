// Moe: routed experts in place of an MLP, with an optional shared expert that every token goes to.
#pragma once

#include <optional>

#include "awq/model/spec.h"
#include "awq/nn/context.h"
#include "awq/nn/expert_group.h"
#include "awq/nn/mlp.h"

namespace awq {

RouteArgs ToArgs(const MoeSpec& spec);
// Room for where `tokens` tokens go; scratch memory.
Routing TakeRouting(ExecContext& ctx, const MoeSpec& spec, int64_t tokens);

struct MoeWeights {
  LinearGroup router;
  Tensor router_bias;  // F32 [E] on the device; empty without one
  ExpertGroup gate_up;
  ExpertGroup down;
  std::optional<Mlp> shared;
  std::optional<LinearGroup> shared_router;
};

class Moe {
 public:
  Moe(const MoeSpec& spec, MoeWeights weights) : spec_(spec), weights_(std::move(weights)) {}
  // y [T, D] of x [T, D].
  void Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const;
  // Where each row of x goes; in scratch memory.
  Routing Route(ExecContext& ctx, const TensorView& x) const;
  // What the experts' down projections read: hidden [P, F] for each pair of a row and an expert.
  void Hidden(ExecContext& ctx, const Routing& routing, const TensorView& x,
              const TensorView& hidden) const;
  // y [T, D]: out [P, D], what the experts' down projections gave, and the shared expert's part of
  // x [T, D], which may be y.
  void Sum(ExecContext& ctx, const Routing& routing, const TensorView& x, const TensorView& out,
           const TensorView& y) const;
  const MoeWeights& weights() const { return weights_; }
  const Mlp* shared() const { return weights_.shared ? &*weights_.shared : nullptr; }

 private:
  MoeSpec spec_;
  MoeWeights weights_;
};

}  // namespace awq
