// MPT: ALiBi, LayerNorms without biases, an ungated MLP, no biases, q, k, v in one module.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec MptSpec(const Json& file) {
  const Json renamed = Renamed(file, {{"d_model", "hidden_size"},
                                      {"n_layers", "num_hidden_layers"},
                                      {"n_heads", "num_attention_heads"},
                                      {"max_seq_len", "max_position_embeddings"}});
  const Json keys = Filled(renamed, {{"attn_config", RawJson::object()}});
  const Json config = Filled(keys, {{"intermediate_size", 4 * PositiveInt(keys, "hidden_size")},
                                    {"hidden_act", "gelu"},
                                    {"partial_rotary_factor", 0.0},
                                    {"tie_word_embeddings", true}});
  const Json attention = config.At("attn_config");
  AWQ_CHECK(attention.Double("alibi_bias_max", 8) == 8, kUnsupported, attention.Where(),
            ".alibi_bias_max: expected 8, found ", attention.Double("alibi_bias_max", 8));
  AWQ_CHECK(!attention.Bool("qk_ln", false), kUnsupported, attention.Where(),
            ".qk_ln is not supported");
  ModelSpec m = LlamaSpec(config);
  SetNorms({.type = NormType::kLayer, .epsilon = config.Double("layer_norm_epsilon", 1e-5)}, m);
  for (LayerSpec& layer : m.layers) {
    GqaSpec& a = GqaOf(layer);
    a.alibi = 1;
    a.scale = attention.Double("softmax_scale", a.scale);
    a.qkv_limit = attention.Double("clip_qkv", 0);
    MlpOf(layer).gated = false;
  }
  return m;
}

NameMap MptNames(const Json&) {
  const std::string layer = "transformer.blocks.{L}.";
  return NameMap({{Role::kEmbed, "transformer.wte"},
                  {Role::kFinalNorm, "transformer.norm_f"},
                  {Role::kHead, "lm_head"},
                  {Role::kAttnNorm, layer + "norm_1"},
                  {Role::kO, layer + "attn.out_proj"},
                  {Role::kFfnNorm, layer + "norm_2"},
                  {Role::kUp, layer + "ffn.up_proj"},
                  {Role::kDown, layer + "ffn.down_proj"}})
      .Fused({Role::kQ, Role::kK, Role::kV}, layer + "attn.Wqkv");
}

}  // namespace awq
