// MlpGradient: a feed-forward part, computed again, and its gradient.
#pragma once

#include <optional>

#include "awq/quant/fisher/linear_gradient.h"

namespace awq {

class MlpGradient {
 public:
  MlpGradient(const MlpSpec& spec, const LayerParams& params);

  // What the part computes on its way, in the caller's scope of the workspace.
  struct Inner {
    TensorView gate, up;  // [T, F]; no gate in a plain part
  };
  Inner Enter(const GradientContext& ctx, const TensorView& x) const;
  // y [T, D]: what the part gives.
  void Leave(const GradientContext& ctx, const Inner& inner, const TensorView& y) const;
  // grad_x [T, D] may be grad_y; `inner` is undefined afterwards.
  void Backward(const GradientContext& ctx, const Inner& inner, const TensorView& grad_y,
                const TensorView& grad_x) const;

 private:
  MlpSpec spec_;
  std::optional<LinearGradient> gate_;
  LinearGradient up_, down_;
};

}  // namespace awq
