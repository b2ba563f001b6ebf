// Mlp: the feed-forward part, down(activation(gate(x)) · up(x)) or down(activation(up(x))).
#pragma once

#include "awq/model/spec.h"
#include "awq/nn/context.h"
#include "awq/nn/linear_group.h"

namespace awq {

Activation ToOp(FfnActivation activation);

struct MlpWeights {
  LinearGroup gate_up;  // or up alone
  LinearGroup down;
};

class Mlp {
 public:
  Mlp(const MlpSpec& spec, MlpWeights weights) : spec_(spec), weights_(std::move(weights)) {}
  // y [T, D] of x [T, D].
  void Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const;
  // All of it but the down projection: hidden [T, F].
  void Hidden(ExecContext& ctx, const TensorView& x, const TensorView& hidden) const;
  const MlpWeights& weights() const { return weights_; }

 private:
  MlpSpec spec_;
  MlpWeights weights_;
};

}  // namespace awq
