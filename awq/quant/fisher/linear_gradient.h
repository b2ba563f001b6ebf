// LinearGradient: y = x · Wᵀ + bias and its gradient.
#pragma once

#include "awq/checkpoint/weights.h"
#include "awq/quant/fisher/gradient_context.h"

namespace awq {

class LinearGradient {
 public:
  // Shares the memory of a weight that is F32; others are copied. The linear must be dense.
  LinearGradient(const LayerParams& params, LinearId id);

  int64_t n() const { return weight_.shape()[0]; }
  int64_t k() const { return weight_.shape()[1]; }
  // y [T, N] of x [T, K], dense.
  void Forward(const GradientContext& ctx, const TensorView& x, const TensorView& y) const;
  // Shows grad_y [T, N] to the sink; grad_x [T, K] = grad_y · W.
  void Backward(const GradientContext& ctx, const TensorView& grad_y,
                const TensorView& grad_x) const;
  // The same, but what is there already counts too.
  void AddBackward(const GradientContext& ctx, const TensorView& grad_y,
                   const TensorView& grad_x) const;

 private:
  LinearId id_;
  Tensor weight_;  // F32 [N, K]
  Tensor bias_;    // F32 [N], or empty
};

}  // namespace awq
