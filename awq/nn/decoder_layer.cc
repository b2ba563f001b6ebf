#include "awq/nn/decoder_layer.h"

namespace awq {

void DecoderLayer::Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                           const TensorView& residual) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView x = ctx.scratch.Take(ctx.act, residual.shape);
  attn_norm_.Forward(ctx, residual, x);
  attention_.Forward(ctx, batch, cache, x, x);
  ctx.backend.Add(residual, x);
  ffn_norm_.Forward(ctx, residual, x);
  mlp_.Forward(ctx, x, x);
  ctx.backend.Add(residual, x);
}

DecoderLayer MakeDecoderLayer(Backend& backend, const ModelSpec& model, int64_t layer,
                              const LayerParams& params) {
  const LayerSpec& spec = model.layers[static_cast<size_t>(layer)];
  const auto linear = [&](Role role) {
    return MakeLinear(backend, role, layer, params.linears.at(role));
  };
  const auto vector = [&](Role role) {
    const auto it = params.vectors.find(role);
    return it == params.vectors.end() ? Tensor() : ToDevice(backend, it->second.view());
  };
  AttentionWeights attention{linear(Role::kQ), linear(Role::kK),     linear(Role::kV),
                             linear(Role::kO), vector(Role::kQNorm), vector(Role::kKNorm)};
  return DecoderLayer(Norm(spec.norm, vector(Role::kAttnNorm)),
                      Attention(backend, spec.attention, spec.norm, std::move(attention)),
                      Norm(spec.norm, vector(Role::kFfnNorm)),
                      Mlp(spec.mlp, {linear(Role::kGate), linear(Role::kUp), linear(Role::kDown)}));
}

}  // namespace awq
