// Bloom: LayerNorms, also on embeddings, ALiBi instead of rotations, an ungated MLP, q, k, v side
// by side for every head.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {
namespace {

Json WithLlamaKeys(const Json& file) {
  return Renamed(file, {{"n_embed", "hidden_size"},
                        {"n_layer", "num_hidden_layers"},
                        {"n_head", "num_attention_heads"},
                        {"seq_length", "max_position_embeddings"}});
}

}  // namespace

ModelSpec BloomSpec(const Json& file) {
  const Json keys = WithLlamaKeys(file);
  const Json config = Filled(keys, {{"intermediate_size", 4 * PositiveInt(keys, "hidden_size")},
                                    {"hidden_act", "gelu_pytorch_tanh"},
                                    {"partial_rotary_factor", 0.0},
                                    {"attention_bias", true},
                                    {"mlp_bias", true},
                                    {"tie_word_embeddings", true}});
  AWQ_CHECK(!config.Bool("apply_residual_connection_post_layernorm", false), kUnsupported,
            config.Where(), ": apply_residual_connection_post_layernorm is not supported");
  ModelSpec m = LlamaSpec(config);
  const NormSpec norm{
      .type = NormType::kLayer, .epsilon = config.Double("layer_norm_epsilon", 1e-5), .bias = true};
  SetNorms(norm, m);
  m.embed.norm = norm;
  for (LayerSpec& layer : m.layers) {
    GqaOf(layer).alibi = 1;
    MlpOf(layer).gated = false;
  }
  return m;
}

NameMap BloomNames(const Json& file) {
  const std::string layer = "transformer.h.{L}.";
  return NameMap({{Role::kEmbed, "transformer.word_embeddings"},
                  {Role::kEmbedNorm, "transformer.word_embeddings_layernorm"},
                  {Role::kFinalNorm, "transformer.ln_f"},
                  {Role::kHead, "lm_head"},
                  {Role::kAttnNorm, layer + "input_layernorm"},
                  {Role::kO, layer + "self_attention.dense"},
                  {Role::kFfnNorm, layer + "post_attention_layernorm"},
                  {Role::kUp, layer + "mlp.dense_h_to_4h"},
                  {Role::kDown, layer + "mlp.dense_4h_to_h"}})
      .Fused({Role::kQ, Role::kK, Role::kV}, layer + "self_attention.query_key_value",
             PositiveInt(WithLlamaKeys(file), "num_attention_heads"));
}

}  // namespace awq
