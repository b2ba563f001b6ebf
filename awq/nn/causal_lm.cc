#include "awq/nn/causal_lm.h"

namespace awq {
namespace {

Tensor CopyToDevice(Backend& backend, const TensorView& host) {
  Tensor out = backend.Alloc(host.dtype, host.shape);
  backend.Copy(out.view(), host);
  return out;
}

std::vector<DecoderLayer> MakeLayers(Backend& backend, const ModelSpec& model,
                                     const std::function<LayerParams(int64_t)>& layer) {
  std::vector<DecoderLayer> layers;
  layers.reserve(model.layers.size());
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    layers.push_back(MakeDecoderLayer(backend, model, i, layer(i)));
  }
  return layers;
}

Linear MakeHead(Backend& backend, const WeightSource& source) {
  const Tensor head = source.Head();
  return Linear(backend.PrepareDense(head.view(), head.dtype()), {});
}

}  // namespace

CausalLm::CausalLm(Backend& backend, const WeightSource& source)
    : CausalLm(backend, source, [&](int64_t i) { return source.Layer(i); }) {}

CausalLm::CausalLm(Backend& backend, const WeightSource& source,
                   const std::function<LayerParams(int64_t)>& layer)
    : spec_(source.spec()),
      embedding_(CopyToDevice(backend, source.Embedding().view())),
      layers_(MakeLayers(backend, spec_, layer)),
      final_norm_(spec_.final_norm,
                  ToDevice(backend, source.Vector(Role::kFinalNorm, 0, spec_.hidden).view())),
      head_(MakeHead(backend, source)) {}

void CausalLm::Forward(ExecContext& ctx, const Batch& batch, std::span<const PagedKv> caches,
                       const TensorView& hidden) const {
  AWQ_CHECK(caches.size() == layers_.size(), kInternal, "a cache for ", caches.size(), " of ",
            layers_.size(), " layers");
  ctx.backend.Embed(batch.tokens, embedding_.view(), hidden);
  const Workspace::Scope scope(ctx.scratch);
  const TensorView x = ctx.scratch.Take(ctx.act, hidden.shape);
  for (size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].Continue(ctx, batch, caches[i], hidden, x, i > 0);
  }
  ctx.backend.Add(hidden, x);
}

void CausalLm::Logits(ExecContext& ctx, const TensorView& hidden, const TensorView& logits) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView x = ctx.scratch.Take(ctx.act, hidden.shape);
  final_norm_.Forward(ctx, hidden, x);
  head_.Forward(ctx, x, logits);
}

}  // namespace awq
