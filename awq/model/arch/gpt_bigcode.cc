// GPT-BigCode, StarCoder: learned positions, LayerNorms, an ungated MLP, biases everywhere; one kv
// head, q, k, v in one module, or as many as query heads, side by side for every head.
#include "awq/model/arch/architectures.h"

namespace awq {
namespace {

Json WithLlamaKeys(const Json& file) {
  const Json keys = Renamed(file, {{"n_embd", "hidden_size"},
                                   {"n_layer", "num_hidden_layers"},
                                   {"n_head", "num_attention_heads"},
                                   {"n_inner", "intermediate_size"},
                                   {"n_positions", "max_position_embeddings"},
                                   {"activation_function", "hidden_act"}});
  return Filled(keys, {{"multi_query", true}, {"max_position_embeddings", 1024}});
}

}  // namespace

ModelSpec GptBigcodeSpec(const Json& file) {
  const Json keys = WithLlamaKeys(file);
  const int64_t heads = PositiveInt(keys, "num_attention_heads");
  const Json config =
      Filled(keys, {{"intermediate_size", 4 * PositiveInt(keys, "hidden_size")},
                    {"num_key_value_heads", keys.Bool("multi_query") ? int64_t{1} : heads},
                    {"hidden_act", "gelu_pytorch_tanh"},
                    {"partial_rotary_factor", 0.0},
                    {"attention_bias", true},
                    {"mlp_bias", true},
                    {"tie_word_embeddings", true}});
  ModelSpec m = LlamaSpec(config);
  SetNorms({.type = NormType::kLayer,
            .epsilon = config.Double("layer_norm_epsilon", 1e-5),
            .bias = true},
           m);
  for (LayerSpec& layer : m.layers) {
    if (!config.Bool("scale_attn_weights", true)) GqaOf(layer).scale = 1;
    MlpOf(layer).gated = false;
  }
  m.embed.positions = PositiveInt(config, "max_position_embeddings");
  return m;
}

NameMap GptBigcodeNames(const Json& file) {
  const Json config = WithLlamaKeys(file);
  const std::string layer = "transformer.h.{L}.";
  const int64_t heads = PositiveInt(config, "num_attention_heads");
  return NameMap({{Role::kEmbed, "transformer.wte"},
                  {Role::kPositions, "transformer.wpe"},
                  {Role::kFinalNorm, "transformer.ln_f"},
                  {Role::kHead, "lm_head"},
                  {Role::kAttnNorm, layer + "ln_1"},
                  {Role::kO, layer + "attn.c_proj"},
                  {Role::kFfnNorm, layer + "ln_2"},
                  {Role::kUp, layer + "mlp.c_fc"},
                  {Role::kDown, layer + "mlp.c_proj"}})
      .Fused({Role::kQ, Role::kK, Role::kV}, layer + "attn.c_attn",
             config.Bool("multi_query") ? 1 : heads);
}

}  // namespace awq
