#include "awq/nn/mlp.h"

namespace awq {

Activation ToOp(FfnActivation activation) {
  switch (activation) {
    case FfnActivation::kSilu:
      return Activation::kSilu;
    case FfnActivation::kGelu:
      return Activation::kGelu;
    case FfnActivation::kGeluTanh:
      return Activation::kGeluTanh;
    case FfnActivation::kRelu:
      return Activation::kRelu;
  }
  Fail(ErrorCode::kInternal, "unknown activation");
}

void Mlp::Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView hidden = ctx.scratch.Take(ctx.act, {x.dim(0), spec_.size});
  Hidden(ctx, x, hidden);
  weights_.down.Forward(ctx, hidden, y);
}

void Mlp::Hidden(ExecContext& ctx, const TensorView& x, const TensorView& hidden) const {
  if (!spec_.gated) {
    weights_.gate_up.Forward(ctx, x, hidden);
    return ctx.backend.Activate(ToOp(spec_.activation), {}, hidden, hidden);
  }
  if (weights_.gate_up.IsGated()) {
    return weights_.gate_up.ForwardGated(ctx, ToOp(spec_.activation), x, hidden);
  }
  const Workspace::Scope scope(ctx.scratch);
  const TensorView both = ctx.scratch.Take(ctx.act, {x.dim(0), weights_.gate_up.n()});
  weights_.gate_up.Forward(ctx, x, both);
  ctx.backend.Activate(ToOp(spec_.activation), weights_.gate_up.Part(both, 0),
                       weights_.gate_up.Part(both, 1), hidden);
}

}  // namespace awq
