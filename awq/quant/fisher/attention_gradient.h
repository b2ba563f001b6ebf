// AttentionGradient: grouped-query attention over fresh blocks, computed again, and its gradient.
#pragma once

#include <optional>

#include "awq/quant/fisher/linear_gradient.h"
#include "awq/quant/fisher/norm_gradient.h"
#include "awq/quant/fisher/softmax_mix.h"

namespace awq {

class AttentionGradient {
 public:
  AttentionGradient(Backend& backend, const GqaSpec& spec, const NormSpec& norm,
                    const LayerParams& params);

  // What the part computes on its way, in the caller's scope of the workspace.
  struct Inner {
    TensorView q, k, v;       // [T, H·d], [T, G·d]; normed and rotated, within the limit
    TensorView raw_q, raw_k;  // as the linears give them, where a norm follows or a limit is set
    TensorView raw_v;
  };
  Inner Enter(const GradientContext& ctx, const Batch& batch, const TensorView& x) const;
  // y [T, D]: what the part gives.
  void Leave(const GradientContext& ctx, const Batch& batch, const Inner& inner,
             const TensorView& y) const;
  // grad_x [T, D] may be grad_y.
  void Backward(const GradientContext& ctx, const Batch& batch, const Inner& inner,
                const TensorView& grad_y, const TensorView& grad_x) const;

 private:
  SoftmaxMix Mix() const;
  TensorView AsHeads(const TensorView& rows) const;
  // Rotates rows of heads, or (`back`) does what is the transpose of it.
  void Rotate(const GradientContext& ctx, const Batch& batch, bool back, const TensorView& x) const;
  // From what the linear gives to what enters the scores, and the gradient on its way back.
  void Shape(const GradientContext& ctx, const Batch& batch,
             const std::optional<NormGradient>& norm, const TensorView& x) const;
  void ShapeBackward(const GradientContext& ctx, const Batch& batch,
                     const std::optional<NormGradient>& norm, const TensorView& raw,
                     const TensorView& grad) const;
  void Clamp(const GradientContext& ctx, const TensorView& x) const;
  void ClampBackward(const GradientContext& ctx, const TensorView& raw,
                     const TensorView& grad) const;

  GqaSpec spec_;
  LinearGradient q_, k_, v_, o_;
  std::optional<NormGradient> q_norm_, k_norm_;
  std::vector<float> alibi_slopes_;
};

}  // namespace awq
