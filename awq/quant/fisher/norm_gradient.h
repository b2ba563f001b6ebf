// NormGradient: a norm of rows and its gradient.
#pragma once

#include "awq/nn/norm.h"
#include "awq/quant/fisher/gradient_context.h"

namespace awq {

class NormGradient {
 public:
  // See MakeNorm.
  NormGradient(Backend& backend, const NormSpec& spec, Role role, int64_t size,
               const LayerParams& params);

  // Views are [T, C] or [T, heads, C]; y may be x.
  void Forward(const GradientContext& ctx, const TensorView& x, const TensorView& y) const;
  // x: what Forward read; grad_x may be grad_y.
  void Backward(const GradientContext& ctx, const TensorView& x, const TensorView& grad_y,
                const TensorView& grad_x) const;

 private:
  NormArgs args_;
  Norm norm_;
  Tensor weight_;  // F32 [C]; empty: ones
};

}  // namespace awq
