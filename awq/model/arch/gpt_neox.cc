// GPT-NeoX and Pythia: parallel attention and MLP with a norm each, a part of each head rotates,
// q, k, v side by side for every head.
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec GptNeoxSpec(const Json& file) {
  const Json keys =
      Renamed(file, {{"rotary_pct", "partial_rotary_factor"}, {"rotary_emb_base", "rope_theta"}});
  const Json config = Filled(keys, {{"partial_rotary_factor", 0.25},
                                    {"hidden_act", "gelu"},
                                    {"attention_bias", true},
                                    {"mlp_bias", true}});
  ModelSpec m = LlamaSpec(config);
  SetNorms(
      {.type = NormType::kLayer, .epsilon = config.Double("layer_norm_eps", 1e-5), .bias = true},
      m);
  const bool parallel = config.Bool("use_parallel_residual", true);
  for (LayerSpec& layer : m.layers) {
    layer.residual = parallel ? Residual::kParallelTwoNorms : Residual::kSequential;
    GqaOf(layer).kv_heads = GqaOf(layer).heads;
    MlpOf(layer).gated = false;
    MlpOf(layer).bias = true;
  }
  return m;
}

NameMap GptNeoxNames(const Json& config) {
  const std::string layer = "gpt_neox.layers.{L}.";
  return NameMap({{Role::kEmbed, "gpt_neox.embed_in"},
                  {Role::kFinalNorm, "gpt_neox.final_layer_norm"},
                  {Role::kHead, "embed_out"},
                  {Role::kAttnNorm, layer + "input_layernorm"},
                  {Role::kO, layer + "attention.dense"},
                  {Role::kFfnNorm, layer + "post_attention_layernorm"},
                  {Role::kUp, layer + "mlp.dense_h_to_4h"},
                  {Role::kDown, layer + "mlp.dense_4h_to_h"}})
      .Fused({Role::kQ, Role::kK, Role::kV}, layer + "attention.query_key_value",
             PositiveInt(config, "num_attention_heads"));
}

}  // namespace awq
