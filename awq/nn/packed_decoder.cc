#include "awq/nn/packed_decoder.h"

#include <optional>
#include <vector>

namespace awq {
namespace {

bool IsPlainNorm(const NormSpec& norm) { return norm.type == NormType::kRms && !norm.bias; }

bool IsPlainFfn(const LayerSpec& layer) {
  if (const auto* mlp = std::get_if<MlpSpec>(&layer.ffn)) return mlp->gated;
  return std::get<MoeSpec>(layer.ffn).shared_size == 0;
}

// Whether all of the layer is what Backend::Decode does.
bool IsPlain(const LayerSpec& layer) {
  const auto* attention = std::get_if<GqaSpec>(&layer.attention);
  if (attention == nullptr) return false;
  const RopeSpec& rope = attention->rope;
  const bool sandwich = layer.residual == Residual::kSandwich;
  return (sandwich || layer.residual == Residual::kSequential) && layer.residual_scale == 1 &&
         IsPlainNorm(layer.norm) && IsPlainFfn(layer) && attention->alibi == 0 &&
         attention->qkv_limit == 0 && rope.rotary == attention->head_size && !rope.interleaved &&
         !rope.DependsOnLength();
}

bool HaveLikeFfn(const LayerSpec& a, const LayerSpec& b) {
  if (a.ffn.index() != b.ffn.index()) return false;
  if (std::holds_alternative<MlpSpec>(a.ffn)) return MlpOf(a).activation == MlpOf(b).activation;
  return std::get<MoeSpec>(a.ffn) == std::get<MoeSpec>(b.ffn);
}

// What Backend::Decode is told once for all layers.
bool AreAlike(const LayerSpec& a, const LayerSpec& b) {
  const GqaSpec& x = GqaOf(a);
  const GqaSpec& y = GqaOf(b);
  return x.heads == y.heads && x.kv_heads == y.kv_heads && x.head_size == y.head_size &&
         x.scale == y.scale && x.softcap == y.softcap && a.residual == b.residual &&
         a.norm.epsilon == b.norm.epsilon && HaveLikeFfn(a, b);
}

// Each adds its part of a layer to w; false where it is not what Backend::Decode takes.
bool AddAttention(const Attention& attention, DecoderWeights& w) {
  const AttentionWeights& from = attention.weights();
  const Linear* qkv = from.qkv.Single();
  const Linear* o = from.o.Single();
  if (qkv == nullptr || o == nullptr) return false;
  w.qkv = &qkv->weight();
  w.o = &o->weight();
  w.qkv_bias = qkv->bias();
  w.o_bias = o->bias();
  if (from.q_norm) w.q_norm = from.q_norm->weight();
  if (from.k_norm) w.k_norm = from.k_norm->weight();
  return true;
}
bool AddFfn(const Mlp& mlp, DecoderWeights& w) {
  const Linear* gate_up = mlp.weights().gate_up.Single();
  const Linear* down = mlp.weights().down.Single();
  if (!mlp.weights().gate_up.IsGated() || gate_up == nullptr || down == nullptr) return false;
  w.gate_up = &gate_up->weight();
  w.down = &down->weight();
  w.gate_up_bias = gate_up->bias();
  w.down_bias = down->bias();
  return true;
}
bool AddFfn(const Moe& moe, DecoderWeights& w) {
  const MoeWeights& from = moe.weights();
  const Linear* router = from.router.Single();
  if (router == nullptr || !router->bias().empty() || !from.gate_up.IsGated()) return false;
  w.experts = DecoderExperts{.router = &router->weight(),
                             .router_bias = from.router_bias.view(),
                             .gate_up = from.gate_up.Single(),
                             .down = from.down.Single()};
  return w.experts->gate_up != nullptr && w.experts->down != nullptr;
}

// The first layer's frequencies that are this one's, so that devices know that they are the same.
TensorView FrequenciesOf(const ModelSpec& model, std::span<const DecoderLayer> layers,
                         size_t layer) {
  const auto values = [&](size_t l) { return InverseFrequencies(GqaOf(model.layers[l]).rope, 0); };
  size_t first = 0;
  while (values(first) != values(layer)) ++first;
  return std::get<Attention>(layers[first].attention()).frequencies();
}

std::optional<DecoderWeights> WeightsOf(const DecoderLayer& layer) {
  DecoderWeights w;
  w.attn_norm = layer.norms().attn.weight();
  w.ffn_norm = layer.norms().ffn->weight();
  if (layer.norms().attn_post) {
    w.attn_post_norm = layer.norms().attn_post->weight();
    w.ffn_post_norm = layer.norms().ffn_post->weight();
  }
  const bool ffn = std::visit([&](const auto& f) { return AddFfn(f, w); }, layer.ffn());
  if (!ffn || !AddAttention(std::get<Attention>(layer.attention()), w)) return std::nullopt;
  return w;
}

}  // namespace

std::unique_ptr<PackedDecoder> PackDecoder(Backend& backend, const ModelSpec& model,
                                           std::span<const DecoderLayer> layers) {
  std::vector<DecoderWeights> weights;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!IsPlain(model.layers[i]) || !AreAlike(model.layers[0], model.layers[i])) return nullptr;
    std::optional<DecoderWeights> w = WeightsOf(layers[i]);
    if (!w) return nullptr;
    const GqaSpec& gqa = GqaOf(model.layers[i]);
    w->window = gqa.window;
    w->rope = {.inverse_frequencies = FrequenciesOf(model, layers, i),
               .interleaved = false,
               .magnitude = gqa.rope.Magnitude()};
    weights.push_back(*w);
  }
  if (weights.empty()) return nullptr;
  const LayerSpec& first = model.layers[0];
  const GqaSpec& gqa = GqaOf(first);
  DecoderArgs args{.heads = gqa.heads,
                   .kv_heads = gqa.kv_heads,
                   .head_size = gqa.head_size,
                   .epsilon = static_cast<float>(first.norm.epsilon),
                   .scale = static_cast<float>(gqa.scale),
                   .softcap = static_cast<float>(gqa.softcap)};
  if (const auto* moe = std::get_if<MoeSpec>(&first.ffn)) {
    args.activation = ToOp(moe->activation);
    args.route = ToArgs(*moe);
    args.active = moe->active;
  } else {
    args.activation = ToOp(MlpOf(first).activation);
  }
  return backend.PrepareDecoder(args, weights);
}

}  // namespace awq
