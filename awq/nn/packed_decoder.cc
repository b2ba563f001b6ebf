#include "awq/nn/packed_decoder.h"

#include <optional>
#include <vector>

namespace awq {
namespace {

bool IsPlainNorm(const NormSpec& norm) { return norm.type == NormType::kRms && !norm.bias; }

// Whether all of the layer is what Backend::Decode does.
bool IsPlain(const LayerSpec& layer) {
  const auto* attention = std::get_if<GqaSpec>(&layer.attention);
  const auto* mlp = std::get_if<MlpSpec>(&layer.ffn);
  if (attention == nullptr || mlp == nullptr) return false;
  const RopeSpec& rope = attention->rope;
  return layer.residual == Residual::kSequential && layer.residual_scale == 1 &&
         IsPlainNorm(layer.norm) && mlp->gated && attention->softcap == 0 &&
         attention->alibi == 0 && attention->qkv_limit == 0 &&
         rope.rotary == attention->head_size && !rope.interleaved && !rope.DependsOnLength();
}

// What Backend::Decode is told once for all layers.
bool AreAlike(const LayerSpec& a, const LayerSpec& b) {
  const GqaSpec& x = GqaOf(a);
  const GqaSpec& y = GqaOf(b);
  return x.heads == y.heads && x.kv_heads == y.kv_heads && x.head_size == y.head_size &&
         x.scale == y.scale && x.window == y.window && x.rope.Magnitude() == y.rope.Magnitude() &&
         InverseFrequencies(x.rope, 0) == InverseFrequencies(y.rope, 0) &&
         a.norm.epsilon == b.norm.epsilon && MlpOf(a).activation == MlpOf(b).activation;
}

std::optional<DecoderWeights> WeightsOf(const DecoderLayer& layer) {
  const AttentionWeights& attention = std::get<Attention>(layer.attention()).weights();
  const MlpWeights& mlp = std::get<Mlp>(layer.ffn()).weights();
  const Linear* qkv = attention.qkv.Single();
  const Linear* o = attention.o.Single();
  const Linear* gate_up = mlp.gate_up.IsGated() ? mlp.gate_up.Single() : nullptr;
  const Linear* down = mlp.down.Single();
  if (qkv == nullptr || o == nullptr || gate_up == nullptr || down == nullptr) return std::nullopt;
  DecoderWeights w{.qkv = &qkv->weight(),
                   .o = &o->weight(),
                   .gate_up = &gate_up->weight(),
                   .down = &down->weight(),
                   .qkv_bias = qkv->bias(),
                   .o_bias = o->bias(),
                   .gate_up_bias = gate_up->bias(),
                   .down_bias = down->bias(),
                   .attn_norm = layer.norms().attn.weight(),
                   .ffn_norm = layer.norms().ffn->weight(),
                   .q_norm = {},
                   .k_norm = {}};
  if (attention.q_norm) w.q_norm = attention.q_norm->weight();
  if (attention.k_norm) w.k_norm = attention.k_norm->weight();
  return w;
}

}  // namespace

std::unique_ptr<PackedDecoder> PackDecoder(Backend& backend, const ModelSpec& model,
                                           std::span<const DecoderLayer> layers) {
  std::vector<DecoderWeights> weights;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!IsPlain(model.layers[i]) || !AreAlike(model.layers[0], model.layers[i])) return nullptr;
    const std::optional<DecoderWeights> w = WeightsOf(layers[i]);
    if (!w) return nullptr;
    weights.push_back(*w);
  }
  if (weights.empty()) return nullptr;
  const LayerSpec& first = model.layers[0];
  const GqaSpec& gqa = GqaOf(first);
  const DecoderArgs args{
      .heads = gqa.heads,
      .kv_heads = gqa.kv_heads,
      .head_size = gqa.head_size,
      .epsilon = static_cast<float>(first.norm.epsilon),
      .scale = static_cast<float>(gqa.scale),
      .window = gqa.window,
      .rope = {.inverse_frequencies = std::get<Attention>(layers[0].attention()).frequencies(),
               .interleaved = false,
               .magnitude = gqa.rope.Magnitude()},
      .activation = ToOp(MlpOf(first).activation)};
  return backend.PrepareDecoder(args, weights);
}

}  // namespace awq
