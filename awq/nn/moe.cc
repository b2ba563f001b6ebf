#include "awq/nn/moe.h"

namespace awq {

RouteArgs ToArgs(const MoeSpec& spec) {
  RouteArgs args;
  args.sigmoid = spec.score == RouterScore::kSigmoid;
  args.normalize = spec.normalize;
  args.scale = static_cast<float>(spec.weight_scale);
  args.groups = spec.groups;
  args.active_groups = spec.active_groups;
  args.rank_by = spec.group_rank == GroupRank::kTopTwo ? 2 : 1;
  return args;
}

Routing TakeRouting(ExecContext& ctx, const MoeSpec& spec, int64_t t) {
  return {.experts = ctx.scratch.Take(DType::kI32, {t, spec.active}),
          .weights = ctx.scratch.Take(DType::kF32, {t, spec.active}),
          .pairs = ctx.scratch.Take(DType::kI32, {t * spec.active}),
          .starts = ctx.scratch.Take(DType::kI32, {spec.experts + 1})};
}

Routing Moe::Route(ExecContext& ctx, const TensorView& x) const {
  const Routing out = TakeRouting(ctx, spec_, x.dim(0));
  const Workspace::Scope scope(ctx.scratch);
  const TensorView logits = ctx.scratch.Take(DType::kF32, {x.dim(0), spec_.experts});
  weights_.router.Forward(ctx, x, logits);
  ctx.backend.Route(ToArgs(spec_), logits, weights_.router_bias.view(), out);
  return out;
}

void Moe::Hidden(ExecContext& ctx, const Routing& routing, const TensorView& x,
                 const TensorView& hidden) const {
  if (weights_.gate_up.IsGated()) {
    return weights_.gate_up.ForwardGated(ctx, ToOp(spec_.activation), routing, x, hidden);
  }
  const Workspace::Scope scope(ctx.scratch);
  const TensorView both = ctx.scratch.Take(ctx.act, {hidden.dim(0), weights_.gate_up.n()});
  weights_.gate_up.Forward(ctx, routing, x, both);
  ctx.backend.Activate(ToOp(spec_.activation), weights_.gate_up.Part(both, 0),
                       weights_.gate_up.Part(both, 1), hidden);
}

void Moe::Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
  const Workspace::Scope scope(ctx.scratch);
  const int64_t t = x.dim(0);
  const Routing routing = Route(ctx, x);
  const TensorView out = ctx.scratch.Take(ctx.act, {t * spec_.active, x.dim(1)});
  {
    const Workspace::Scope inner(ctx.scratch);
    const TensorView hidden = ctx.scratch.Take(ctx.act, {t * spec_.active, spec_.size});
    if (weights_.gate_up.IsGated() && weights_.down.Single() != nullptr && ctx.tap == nullptr) {
      ctx.backend.MoeMlp(*weights_.gate_up.Single(), ToOp(spec_.activation),
                         *weights_.down.Single(), routing, x, hidden, out);
    } else {
      Hidden(ctx, routing, x, hidden);
      weights_.down.Forward(ctx, routing, hidden, out);
    }
  }
  Sum(ctx, routing, x, out, y);
}

void Moe::Sum(ExecContext& ctx, const Routing& routing, const TensorView& x, const TensorView& out,
              const TensorView& y) const {
  const Workspace::Scope scope(ctx.scratch);
  TensorView shared, gate;
  if (weights_.shared) {
    shared = ctx.scratch.Take(ctx.act, x.shape);
    weights_.shared->Forward(ctx, x, shared);
  }
  if (weights_.shared_router) {
    gate = ctx.scratch.Take(DType::kF32, {x.dim(0), 1});
    weights_.shared_router->Forward(ctx, x, gate);
  }
  ctx.backend.MoeSum(routing, out, shared, gate, y);
}

}  // namespace awq
