#include "awq/nn/mlp.h"

namespace awq {
namespace {

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

}  // namespace

void Mlp::Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView gate = ctx.scratch.Take(ctx.act, {x.dim(0), spec_.size});
  const TensorView up = ctx.scratch.Take(ctx.act, {x.dim(0), spec_.size});
  weights_.gate.Forward(ctx, x, gate);
  weights_.up.Forward(ctx, x, up);
  ctx.backend.Activate(ToOp(spec_.activation), gate, up, up);
  weights_.down.Forward(ctx, up, y);
}

}  // namespace awq
