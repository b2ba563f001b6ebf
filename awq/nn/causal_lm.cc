#include "awq/nn/causal_lm.h"

#include "awq/nn/head.h"

namespace awq {
namespace {

std::vector<DecoderLayer> MakeLayers(Backend& backend, const ModelSpec& model,
                                     const std::function<LayerParams(int64_t)>& layer) {
  std::vector<DecoderLayer> layers;
  layers.reserve(model.layers.size());
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    layers.push_back(MakeDecoderLayer(backend, model, i, layer(i)));
  }
  return layers;
}

std::optional<Linear> MakeHeadProjection(Backend& backend, const WeightSource& source) {
  const ModelSpec& model = source.spec();
  if (!model.has_projections()) return std::nullopt;
  const Tensor w = source.Other(Role::kHeadProjection, {model.embed_size(), model.hidden});
  return Linear(backend.PrepareDense(w.view(), w.dtype()), {});
}

}  // namespace

CausalLm::CausalLm(Backend& backend, const WeightSource& source, int head_bits)
    : CausalLm(
          backend, source, [&](int64_t i) { return source.Layer(i); }, head_bits) {}

CausalLm::CausalLm(Backend& backend, const WeightSource& source,
                   const std::function<LayerParams(int64_t)>& layer, int head_bits)
    : spec_(source.spec()),
      embedding_(backend, source),
      layers_(MakeLayers(backend, spec_, layer)),
      decoder_(PackDecoder(backend, spec_, layers_)),
      final_norm_(LoadNorm(backend, spec_.final_norm, Role::kFinalNorm, spec_.hidden, source)),
      head_projection_(MakeHeadProjection(backend, source)),
      head_(MakeHead(backend, source, head_bits)) {}

void CausalLm::Forward(ExecContext& ctx, const Batch& batch, std::span<const PagedKv> caches,
                       const TensorView& hidden) const {
  AWQ_CHECK(caches.size() == layers_.size(), kInternal, "a cache for ", caches.size(), " of ",
            layers_.size(), " layers");
  embedding_.Forward(ctx, batch, hidden);
  if (layers_.empty()) return;
  if (decoder_ && batch.num_tokens() == 1 && ctx.tap == nullptr &&
      ctx.backend.Decode(*decoder_, batch, caches, hidden)) {
    return;
  }
  const Workspace::Scope scope(ctx.scratch);
  const TensorView x = ctx.scratch.Take(ctx.act, hidden.shape);
  const DecoderLayer* before = nullptr;  // whose last sum is still to be made
  for (size_t i = 0; i < layers_.size(); ++i) {
    before = layers_[i].Continue(ctx, batch, caches[i], hidden, x, before);
  }
  if (before != nullptr) before->AddFfn(ctx, hidden, x);
}

void CausalLm::Logits(ExecContext& ctx, const TensorView& hidden, const TensorView& logits) const {
  const Workspace::Scope scope(ctx.scratch);
  TensorView x = ctx.scratch.Take(ctx.act, hidden.shape);
  final_norm_.Forward(ctx, hidden, x);
  if (head_projection_) {
    const TensorView y = ctx.scratch.Take(ctx.act, {x.dim(0), spec_.embed_size()});
    head_projection_->Forward(ctx, x, y);
    x = y;
  }
  head_.Forward(ctx, x, logits);
  const ScaleArgs scale{.factor = static_cast<float>(spec_.head.scale),
                        .softcap = static_cast<float>(spec_.head.softcap)};
  if (scale.factor != 1 || scale.softcap > 0) ctx.backend.Scale(scale, logits, logits);
}

}  // namespace awq
