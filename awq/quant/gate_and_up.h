// GateAndUp: one routed expert's gate and up, prepared apart from the other experts'.
#pragma once

#include "awq/nn/linear.h"
#include "awq/nn/mlp.h"

namespace awq {

class GateAndUp {
 public:
  GateAndUp(Backend& backend, const LayerParams& params, int64_t expert, FfnActivation activation)
      : gate_(MakeLinear(backend, params.linears.at({Role::kExpertGate, expert}))),
        up_(MakeLinear(backend, params.linears.at({Role::kExpertUp, expert}))),
        activation_(activation) {}

  // What its down reads of x [M, D]: [M, F] in scratch memory.
  TensorView Hidden(ExecContext& ctx, const TensorView& x) const {
    const TensorView out = ctx.scratch.Take(DType::kF32, {x.dim(0), gate_.n()});
    const TensorView gate = ctx.scratch.Take(DType::kF32, out.shape);
    const TensorView up = ctx.scratch.Take(DType::kF32, out.shape);
    gate_.Forward(ctx, x, gate);
    up_.Forward(ctx, x, up);
    ctx.backend.Activate(ToOp(activation_), gate, up, out);
    return out;
  }

 private:
  Linear gate_, up_;
  FfnActivation activation_;
};

}  // namespace awq
