#include "awq/quant/fisher/attention_gradient.h"

#include <algorithm>
#include <cmath>

namespace awq {
namespace {

TensorView AsView(const std::vector<float>& values) {
  return TensorView(const_cast<float*>(values.data()), DType::kF32,
                    {static_cast<int64_t>(values.size())});
}

}  // namespace

AttentionGradient::AttentionGradient(Backend& backend, const GqaSpec& spec, const NormSpec& norm,
                                     const LayerParams& params)
    : spec_(spec),
      q_(params, Role::kQ),
      k_(params, Role::kK),
      v_(params, Role::kV),
      o_(params, Role::kO) {
  if (spec.qk_norm == QkNorm::kPerHead) {
    q_norm_.emplace(backend, norm, Role::kQNorm, spec.head_size, params);
    k_norm_.emplace(backend, norm, Role::kKNorm, spec.head_size, params);
  }
  if (spec.alibi != 0) alibi_slopes_ = AlibiSlopes(spec.heads, spec.alibi);
}

SoftmaxMix AttentionGradient::Mix() const {
  AttentionArgs args{.scale = static_cast<float>(spec_.scale),
                     .window = spec_.window,
                     .softcap = static_cast<float>(spec_.softcap),
                     .alibi_slopes = {}};
  if (!alibi_slopes_.empty()) args.alibi_slopes = AsView(alibi_slopes_);
  return SoftmaxMix(spec_.heads, spec_.kv_heads, spec_.head_size, args);
}

TensorView AttentionGradient::AsHeads(const TensorView& rows) const {
  return rows.Reshape({rows.dim(0), rows.dim(1) / spec_.head_size, spec_.head_size});
}

void AttentionGradient::Rotate(const GradientContext& ctx, const Batch& batch, bool back,
                               const TensorView& x) const {
  if (spec_.rope.rotary == 0) return;
  const auto rotate = [&](int64_t length, int64_t begin, int64_t end) {
    std::vector<float> frequencies = InverseFrequencies(spec_.rope, length);
    if (back) {
      for (float& f : frequencies) f = -f;
    }
    const RopeArgs args{.inverse_frequencies = AsView(frequencies),
                        .interleaved = spec_.rope.interleaved,
                        .magnitude = spec_.rope.Magnitude()};
    ctx.backend.Rope(args, batch.positions.Rows(begin, end), AsHeads(x.Rows(begin, end)));
    ctx.backend.Sync();
  };
  if (!spec_.rope.DependsOnLength()) return rotate(0, 0, x.dim(0));
  for (size_t b = 0; b + 1 < batch.host_seq_start.size(); ++b) {
    rotate(batch.host_kv_len[b], batch.host_seq_start[b], batch.host_seq_start[b + 1]);
  }
}

void AttentionGradient::Clamp(const GradientContext& ctx, const TensorView& x) const {
  if (spec_.qkv_limit <= 0) return;
  ctx.backend.Scale({.limit = static_cast<float>(spec_.qkv_limit)}, x, x);
}

void AttentionGradient::ClampBackward(const GradientContext& ctx, const TensorView& raw,
                                      const TensorView& grad) const {
  if (spec_.qkv_limit <= 0) return;
  const auto limit = static_cast<float>(spec_.qkv_limit);
  ctx.pool.For(raw.NumElements(), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (std::abs(raw.As<const float>()[i]) > limit) grad.As<float>()[i] = 0;
    }
  });
}

void AttentionGradient::Shape(const GradientContext& ctx, const Batch& batch,
                              const std::optional<NormGradient>& norm, const TensorView& x) const {
  Clamp(ctx, x);
  if (norm) norm->Forward(ctx, AsHeads(x), AsHeads(x));
  Rotate(ctx, batch, false, x);
}

void AttentionGradient::ShapeBackward(const GradientContext& ctx, const Batch& batch,
                                      const std::optional<NormGradient>& norm,
                                      const TensorView& raw, const TensorView& grad) const {
  Rotate(ctx, batch, true, grad);
  if (norm) {
    const Workspace::Scope scope(ctx.scratch);
    const TensorView x = ctx.Take(raw.shape);
    ctx.backend.Copy(x, raw);
    Clamp(ctx, x);
    norm->Backward(ctx, AsHeads(x), AsHeads(grad), AsHeads(grad));
  }
  ClampBackward(ctx, raw, grad);
}

AttentionGradient::Inner AttentionGradient::Enter(const GradientContext& ctx, const Batch& batch,
                                                  const TensorView& x) const {
  const auto apply = [&](const LinearGradient& linear) {
    const TensorView y = ctx.Take({x.dim(0), linear.n()});
    linear.Forward(ctx, x, y);
    return y;
  };
  const auto keep = [&](const TensorView& y, bool wanted) {
    if (!wanted) return TensorView();
    const TensorView copy = ctx.Take(y.shape);
    ctx.backend.Copy(copy, y);
    return copy;
  };
  const bool limited = spec_.qkv_limit > 0;
  Inner inner{apply(q_), apply(k_), apply(v_), {}, {}, {}};
  inner.raw_q = keep(inner.q, limited || q_norm_);
  inner.raw_k = keep(inner.k, limited || k_norm_);
  inner.raw_v = keep(inner.v, limited);
  Shape(ctx, batch, q_norm_, inner.q);
  Shape(ctx, batch, k_norm_, inner.k);
  Clamp(ctx, inner.v);
  return inner;
}

void AttentionGradient::Leave(const GradientContext& ctx, const Batch& batch, const Inner& inner,
                              const TensorView& y) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView mixed = ctx.Take(inner.q.shape);
  Mix().Forward(ctx, {inner.q, inner.k, inner.v, batch.host_seq_start}, mixed);
  o_.Forward(ctx, mixed, y);
}

void AttentionGradient::Backward(const GradientContext& ctx, const Batch& batch, const Inner& inner,
                                 const TensorView& grad_y, const TensorView& grad_x) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView grad_mixed = ctx.Take(inner.q.shape);
  o_.Backward(ctx, grad_y, grad_mixed);
  const SoftmaxMix::Gradients grad{ctx.Take(inner.q.shape), ctx.Take(inner.k.shape),
                                   ctx.Take(inner.v.shape)};
  Mix().Backward(ctx, {inner.q, inner.k, inner.v, batch.host_seq_start}, grad_mixed, grad);
  ShapeBackward(ctx, batch, q_norm_, inner.raw_q, grad.q);
  ShapeBackward(ctx, batch, k_norm_, inner.raw_k, grad.k);
  ClampBackward(ctx, inner.raw_v, grad.v);
  q_.Backward(ctx, grad.q, grad_x);
  k_.AddBackward(ctx, grad.k, grad_x);
  v_.AddBackward(ctx, grad.v, grad_x);
}

}  // namespace awq
