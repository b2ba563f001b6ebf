#include "awq/nn/decoder_layer.h"

namespace awq {

void DecoderLayer::Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                           const TensorView& residual) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView x = ctx.scratch.Take(ctx.act, residual.shape);
  Continue(ctx, batch, cache, residual, x, false);
  ctx.backend.Add(residual, x);
}

void DecoderLayer::Continue(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                            const TensorView& residual, const TensorView& x, bool pending) const {
  if (pending) {
    attn_norm_.AddForward(ctx, residual, x, x);
  } else {
    attn_norm_.Forward(ctx, residual, x);
  }
  attention_.Forward(ctx, batch, cache, x, x);
  ffn_norm_.AddForward(ctx, residual, x, x);
  mlp_.Forward(ctx, x, x);
}

DecoderLayer MakeDecoderLayer(Backend& backend, const ModelSpec& model, int64_t layer,
                              const LayerParams& params) {
  const LayerSpec& spec = model.layers[static_cast<size_t>(layer)];
  const auto group = [&](std::vector<Role> roles) {
    std::erase_if(roles, [&](Role role) { return !params.linears.contains(role); });
    return LinearGroup(backend, layer, params, roles);
  };
  const auto vector = [&](Role role) {
    const auto it = params.vectors.find(role);
    return it == params.vectors.end() ? Tensor() : ToDevice(backend, it->second.view());
  };
  AttentionWeights attention{group({Role::kQ, Role::kK, Role::kV}), group({Role::kO}),
                             vector(Role::kQNorm), vector(Role::kKNorm)};
  return DecoderLayer(Norm(spec.norm, vector(Role::kAttnNorm)),
                      Attention(backend, spec.attention, spec.norm, std::move(attention)),
                      Norm(spec.norm, vector(Role::kFfnNorm)),
                      Mlp(spec.mlp, {group({Role::kGate, Role::kUp}), group({Role::kDown})}));
}

}  // namespace awq
