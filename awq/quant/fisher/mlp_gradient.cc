#include "awq/quant/fisher/mlp_gradient.h"

#include <cmath>
#include <numbers>

#include "awq/nn/mlp.h"

namespace awq {
namespace {

struct Slope {
  float value, derivative;
};

Slope SlopeOf(FfnActivation kind, float x) {
  switch (kind) {
    case FfnActivation::kSilu: {
      const float s = 1.0f / (1.0f + std::exp(-x));
      return {x * s, s * (1.0f + x * (1.0f - s))};
    }
    case FfnActivation::kGelu: {
      constexpr float kDensity = 0.398942280f;  // of the normal distribution at 0
      const float below = 0.5f * (1.0f + std::erf(x / std::numbers::sqrt2_v<float>));
      return {x * below, below + x * kDensity * std::exp(-0.5f * x * x)};
    }
    case FfnActivation::kGeluTanh: {
      constexpr float kScale = 0.797884561f;  // √(2/π)
      constexpr float kCubic = 0.044715f;
      const float t = std::tanh(kScale * (x + kCubic * x * x * x));
      const float inner = kScale * (1.0f + 3.0f * kCubic * x * x);
      return {0.5f * x * (1.0f + t), 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner};
    }
    case FfnActivation::kRelu:
      return x > 0 ? Slope{x, 1.0f} : Slope{0.0f, 0.0f};
  }
  Fail(ErrorCode::kInternal, "unknown activation");
}

// Puts the gradients of gate and up where these are; grad: of activation(gate) · up.
void ActivationBackward(FfnActivation kind, int64_t columns, const float* grad, float* gate,
                        float* up) {
  for (int64_t i = 0; i < columns; ++i) {
    if (gate == nullptr) {
      up[i] = grad[i] * SlopeOf(kind, up[i]).derivative;
    } else {
      const Slope slope = SlopeOf(kind, gate[i]);
      gate[i] = grad[i] * up[i] * slope.derivative;
      up[i] = grad[i] * slope.value;
    }
  }
}

}  // namespace

MlpGradient::MlpGradient(const MlpSpec& spec, const LayerParams& params)
    : spec_(spec), up_(params, Role::kUp), down_(params, Role::kDown) {
  if (spec.gated) gate_.emplace(params, Role::kGate);
}

MlpGradient::Inner MlpGradient::Enter(const GradientContext& ctx, const TensorView& x) const {
  Inner inner;
  if (gate_) {
    inner.gate = ctx.Take({x.dim(0), spec_.size});
    gate_->Forward(ctx, x, inner.gate);
  }
  inner.up = ctx.Take({x.dim(0), spec_.size});
  up_.Forward(ctx, x, inner.up);
  return inner;
}

void MlpGradient::Leave(const GradientContext& ctx, const Inner& inner, const TensorView& y) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView hidden = ctx.Take(inner.up.shape);
  ctx.backend.Activate(ToOp(spec_.activation), inner.gate, inner.up, hidden);
  down_.Forward(ctx, hidden, y);
}

void MlpGradient::Backward(const GradientContext& ctx, const Inner& inner, const TensorView& grad_y,
                           const TensorView& grad_x) const {
  {
    const Workspace::Scope scope(ctx.scratch);
    const TensorView grad = ctx.Take(inner.up.shape);
    down_.Backward(ctx, grad_y, grad);
    ctx.pool.For(grad.dim(0), 4, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t at = t * spec_.size;
        ActivationBackward(spec_.activation, spec_.size, grad.As<const float>() + at,
                           gate_ ? inner.gate.As<float>() + at : nullptr,
                           inner.up.As<float>() + at);
      }
    });
  }
  up_.Backward(ctx, inner.up, grad_x);
  if (gate_) gate_->AddBackward(ctx, inner.gate, grad_x);
}

}  // namespace awq
