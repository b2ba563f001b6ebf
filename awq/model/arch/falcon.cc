// Falcon: 7B (parallel with one norm, one kv head), 40B and 11B (grouped heads, parallel with two
// norms or one) and the RW models (sequential, ALiBi, biases); also as RefinedWebModel, RefinedWeb.
#include <cmath>

#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {
namespace {

Json WithLlamaKeys(const Json& file) {
  const Json keys = Renamed(file, {{"n_embed", "hidden_size"},
                                   {"n_layer", "num_hidden_layers"},
                                   {"n_head", "num_attention_heads"},
                                   {"n_head_kv", "num_kv_heads"},
                                   {"ffn_hidden_size", "intermediate_size"},
                                   {"activation", "hidden_act"}});
  const bool alibi = keys.Bool("alibi", false);
  const bool bias = keys.Bool("bias", false);
  return Filled(keys, {{"intermediate_size", 4 * PositiveInt(keys, "hidden_size")},
                       {"hidden_act", "gelu"},
                       {"partial_rotary_factor", alibi ? 0.0 : 1.0},
                       {"new_decoder_architecture", keys.String("model_type") == "RefinedWeb"},
                       {"multi_query", true},
                       {"parallel_attn", true},
                       {"attention_bias", bias},
                       {"mlp_bias", bias},
                       {"tie_word_embeddings", true}});
}

int64_t KvHeads(const Json& config) {
  const bool grouped = config.Bool("new_decoder_architecture");
  if (!grouped && config.Bool("multi_query")) return 1;
  const int64_t heads = PositiveInt(config, "num_attention_heads");
  return grouped && config.Has("num_kv_heads") ? PositiveInt(config, "num_kv_heads") : heads;
}

Residual ResidualOf(const Json& config) {
  const bool parallel = config.Bool("parallel_attn");
  if (!config.Bool("new_decoder_architecture")) {
    return parallel ? Residual::kParallel : Residual::kSequential;
  }
  AWQ_CHECK(parallel, kUnsupported, config.Where(),
            ": new_decoder_architecture without parallel_attn is not supported");
  const int64_t norms = config.Int("num_ln_in_parallel_attn", 2);
  AWQ_CHECK(norms == 1 || norms == 2, kCorrupt, config.Where(),
            ": num_ln_in_parallel_attn: expected 1 or 2, found ", norms);
  return norms == 2 ? Residual::kParallelTwoNorms : Residual::kParallel;
}

}  // namespace

ModelSpec FalconSpec(const Json& file) {
  const Json keys = WithLlamaKeys(file);
  const Json config = Filled(keys, {{"num_key_value_heads", KvHeads(keys)}});
  ModelSpec m = LlamaSpec(config);
  SetNorms({.type = NormType::kLayer,
            .epsilon = config.Double("layer_norm_epsilon", 1e-5),
            .bias = true},
           m);
  const Residual residual = ResidualOf(config);
  for (LayerSpec& layer : m.layers) {
    layer.residual = residual;
    // The slopes are scaled as the scores are.
    if (config.Bool("alibi", false)) GqaOf(layer).alibi = GqaOf(layer).scale;
    MlpOf(layer).gated = false;
  }
  return m;
}

NameMap FalconNames(const Json& file) {
  const Json config = WithLlamaKeys(file);
  const std::string layer = "transformer.h.{L}.";
  const bool two = ResidualOf(config) == Residual::kParallelTwoNorms;
  return NameMap({{Role::kEmbed, "transformer.word_embeddings"},
                  {Role::kFinalNorm, "transformer.ln_f"},
                  {Role::kHead, "lm_head"},
                  {Role::kAttnNorm, layer + (two ? "ln_attn" : "input_layernorm")},
                  {Role::kO, layer + "self_attention.dense"},
                  {Role::kFfnNorm, layer + (two ? "ln_mlp" : "post_attention_layernorm")},
                  {Role::kUp, layer + "mlp.dense_h_to_4h"},
                  {Role::kDown, layer + "mlp.dense_4h_to_h"}})
      .Fused({Role::kQ, Role::kK, Role::kV}, layer + "self_attention.query_key_value",
             KvHeads(config));
}

}  // namespace awq
