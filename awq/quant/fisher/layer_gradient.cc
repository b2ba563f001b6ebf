#include "awq/quant/fisher/layer_gradient.h"

#include <algorithm>
#include <iterator>

#include "awq/nn/batch_builder.h"
#include "awq/quant/layer_weights.h"

namespace awq {
namespace {

bool IsAttention(Role role) {
  constexpr Role kRoles[] = {Role::kQ,  Role::kK,  Role::kV,   Role::kO,
                             Role::kQA, Role::kQB, Role::kKvA, Role::kKvB};
  return std::ranges::find(kRoles, role) != std::end(kRoles);
}

int64_t PagesOf(const Batch& batch) {
  int64_t pages = 0;
  for (const int32_t length : batch.host_kv_len) pages += PagesFor(length);
  return pages;
}

}  // namespace

LayerGradient::LayerGradient(Backend& backend, const ModelSpec& model, int64_t layer,
                             const LayerParams& params)
    : backend_(backend),
      model_(model),
      layer_(layer),
      spec_(model.layers[static_cast<size_t>(layer)]),
      attn_norm_(backend, spec_.norm, Role::kAttnNorm, model.hidden, params) {
  const auto norm = [&](Role role) {
    return NormGradient(backend, spec_.norm, role, model.hidden, params);
  };
  if (spec_.residual != Residual::kParallel) ffn_norm_ = norm(Role::kFfnNorm);
  if (spec_.residual == Residual::kSandwich) {
    attn_post_ = norm(Role::kAttnPostNorm);
    ffn_post_ = norm(Role::kFfnPostNorm);
  }
  if (const auto* a = std::get_if<GqaSpec>(&spec_.attention)) {
    attention_.emplace(backend, *a, spec_.norm, params);
  }
  if (const auto* f = std::get_if<MlpSpec>(&spec_.ffn)) mlp_.emplace(*f, params);
  if (attention_ && mlp_) return;
  std::vector<LinearId> ids;
  for (const auto& [id, linear] : params.linears) {
    const bool needed = IsAttention(id.role) ? !attention_
                                             : !mlp_ && (spec_.residual == Residual::kSandwich ||
                                                         spec_.residual == Residual::kPost);
    if (needed) ids.push_back(id);
  }
  constant_ = MakeDecoderLayer(backend, model, layer, ShareSome(params, ids));
}

LayerGradient::Attended LayerGradient::Attend(const GradientContext& ctx, const Batch& batch,
                                              const TensorView& x, bool output) {
  Attended out;
  if (output) out.output = ctx.Take(x.shape);
  if (attention_) {
    out.inner = attention_->Enter(ctx, batch, x);
    if (output) attention_->Leave(ctx, batch, out.inner, out.output);
  } else if (output) {
    if (!pages_ || pages_->pages() < PagesOf(batch)) {
      pages_ = std::make_unique<KvPages>(backend_, model_, layer_, 1, PagesOf(batch), DType::kF32);
    }
    ExecContext exec = ctx.exec();
    constant_->Attend(exec, batch, pages_->layers()[0], x, out.output);
  }
  return out;
}

LayerGradient::Fed LayerGradient::Feed(const GradientContext& ctx, const TensorView& x,
                                       bool output) const {
  Fed out;
  if (output) out.output = ctx.Take(x.shape);
  if (mlp_) {
    out.inner = mlp_->Enter(ctx, x);
    if (output) mlp_->Leave(ctx, out.inner, out.output);
  } else if (output) {
    ExecContext exec = ctx.exec();
    constant_->Feed(exec, x, out.output);
  }
  return out;
}

void LayerGradient::AttendBackward(const GradientContext& ctx, const Batch& batch,
                                   const Attended& attended, const TensorView& grad) const {
  if (attn_post_) attn_post_->Backward(ctx, attended.output, grad, grad);
  if (attention_) return attention_->Backward(ctx, batch, attended.inner, grad, grad);
  if (ctx.sink) ctx.sink(Role::kO, grad);
  ctx.backend.Scale({.factor = 0}, grad, grad);
}

void LayerGradient::FeedBackward(const GradientContext& ctx, const Fed& fed,
                                 const TensorView& grad) const {
  if (ffn_post_) ffn_post_->Backward(ctx, fed.output, grad, grad);
  if (mlp_) return mlp_->Backward(ctx, fed.inner, grad, grad);
  if (ctx.sink) {
    const auto& f = std::get<MoeSpec>(spec_.ffn);
    ctx.sink(Role::kExpertDown, grad);
    if (f.shared_size > 0 && !f.shared_gate) ctx.sink(Role::kSharedDown, grad);
  }
  ctx.backend.Scale({.factor = 0}, grad, grad);
}

TensorView LayerGradient::Sum(const GradientContext& ctx, const TensorView& x,
                              const std::optional<NormGradient>& post,
                              const TensorView& output) const {
  const TensorView sum = ctx.Take(x.shape);
  if (post) post->Forward(ctx, output, sum);
  ctx.backend.Scale({.factor = static_cast<float>(spec_.residual_scale)}, post ? sum : output, sum);
  ctx.backend.Add(sum, x);
  return sum;
}

TensorView LayerGradient::Scaled(const GradientContext& ctx, const TensorView& grad) const {
  const TensorView out = ctx.Take(grad.shape);
  ctx.backend.Scale({.factor = static_cast<float>(spec_.residual_scale)}, grad, out);
  return out;
}

void LayerGradient::Backward(const GradientContext& ctx, const Batch& batch, const TensorView& x,
                             const TensorView& grad_out, const TensorView& grad_in) {
  const Workspace::Scope scope(ctx.scratch);
  if (grad_in.data != grad_out.data) ctx.backend.Copy(grad_in, grad_out);
  switch (spec_.residual) {
    case Residual::kSequential:
    case Residual::kSandwich:
      return Sequential(ctx, batch, x, grad_in);
    case Residual::kParallel:
    case Residual::kParallelTwoNorms:
      return Parallel(ctx, batch, x, grad_in);
    case Residual::kPost:
      return PostNorm(ctx, batch, x, grad_in);
  }
}

void LayerGradient::Sequential(const GradientContext& ctx, const Batch& batch, const TensorView& x,
                               const TensorView& grad) {
  const TensorView normed = ctx.Take(x.shape);
  attn_norm_.Forward(ctx, x, normed);
  const Attended attended = Attend(ctx, batch, normed, true);
  const TensorView middle = Sum(ctx, x, attn_post_, attended.output);
  {
    const Workspace::Scope scope(ctx.scratch);
    ffn_norm_->Forward(ctx, middle, normed);
    const Fed fed = Feed(ctx, normed, ffn_post_.has_value());
    const TensorView part = Scaled(ctx, grad);
    FeedBackward(ctx, fed, part);
    ffn_norm_->Backward(ctx, middle, part, part);
    ctx.backend.Add(grad, part);
  }
  const TensorView part = Scaled(ctx, grad);
  AttendBackward(ctx, batch, attended, part);
  attn_norm_.Backward(ctx, x, part, part);
  ctx.backend.Add(grad, part);
}

void LayerGradient::Parallel(const GradientContext& ctx, const Batch& batch, const TensorView& x,
                             const TensorView& grad) {
  const TensorView normed = ctx.Take(x.shape);
  attn_norm_.Forward(ctx, x, normed);
  const TensorView part = Scaled(ctx, grad);
  const TensorView ffn_part = Scaled(ctx, grad);
  {
    const Workspace::Scope scope(ctx.scratch);
    AttendBackward(ctx, batch, Attend(ctx, batch, normed, false), part);
  }
  if (ffn_norm_) ffn_norm_->Forward(ctx, x, normed);
  FeedBackward(ctx, Feed(ctx, normed, false), ffn_part);
  if (ffn_norm_) {
    ffn_norm_->Backward(ctx, x, ffn_part, ffn_part);
    ctx.backend.Add(grad, ffn_part);
  } else {
    ctx.backend.Add(part, ffn_part);
  }
  attn_norm_.Backward(ctx, x, part, part);
  ctx.backend.Add(grad, part);
}

void LayerGradient::PostNorm(const GradientContext& ctx, const Batch& batch, const TensorView& x,
                             const TensorView& grad) {
  const Attended attended = Attend(ctx, batch, x, true);
  const TensorView first = Sum(ctx, x, {}, attended.output);
  {
    const Workspace::Scope scope(ctx.scratch);
    const TensorView middle = ctx.Take(x.shape);
    attn_norm_.Forward(ctx, first, middle);
    const Fed fed = Feed(ctx, middle, true);
    const TensorView second = Sum(ctx, middle, {}, fed.output);
    ffn_norm_->Backward(ctx, second, grad, grad);
    const TensorView part = Scaled(ctx, grad);
    FeedBackward(ctx, fed, part);
    ctx.backend.Add(grad, part);
  }
  attn_norm_.Backward(ctx, first, grad, grad);
  const TensorView part = Scaled(ctx, grad);
  AttendBackward(ctx, batch, attended, part);
  ctx.backend.Add(grad, part);
}

}  // namespace awq
