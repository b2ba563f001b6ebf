// OPT: learned positions, LayerNorms before each part (350m: after it, and embeddings of another
// size), an ungated MLP with ReLU, biases everywhere.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec OptSpec(const Json& file) {
  const Json keys =
      Renamed(file, {{"ffn_dim", "intermediate_size"}, {"activation_function", "hidden_act"}});
  const bool bias = keys.Bool("enable_bias", true);
  const Json config = Filled(keys, {{"hidden_act", "relu"},
                                    {"partial_rotary_factor", 0.0},
                                    {"max_position_embeddings", 2048},
                                    {"attention_bias", bias},
                                    {"mlp_bias", bias},
                                    {"tie_word_embeddings", true}});
  ModelSpec m = LlamaSpec(config);
  const bool affine = config.Bool("layer_norm_elementwise_affine", true);
  SetNorms({.type = NormType::kLayer, .epsilon = 1e-5, .affine = affine, .bias = affine}, m);
  const bool before = config.Bool("do_layer_norm_before", true);
  for (LayerSpec& layer : m.layers) {
    layer.residual = before ? Residual::kSequential : Residual::kPost;
    MlpOf(layer).gated = false;
  }
  if (!before || config.Bool("_remove_final_layer_norm", false)) {
    m.final_norm.type = NormType::kNone;
  }
  constexpr int64_t kFirstPosition = 2;
  m.embed.position_offset = kFirstPosition;
  m.embed.positions = PositiveInt(config, "max_position_embeddings") + kFirstPosition;
  if (config.Has("word_embed_proj_dim")) {
    m.embed.size = PositiveInt(config, "word_embed_proj_dim");
  }
  return m;
}

NameMap OptNames(const Json&) {
  const std::string layer = "model.decoder.layers.{L}.";
  return {{Role::kEmbed, "model.decoder.embed_tokens"},
          {Role::kEmbedProjection, "model.decoder.project_in"},
          {Role::kPositions, "model.decoder.embed_positions"},
          {Role::kFinalNorm, "model.decoder.final_layer_norm"},
          {Role::kHeadProjection, "model.decoder.project_out"},
          {Role::kHead, "lm_head"},
          {Role::kAttnNorm, layer + "self_attn_layer_norm"},
          {Role::kQ, layer + "self_attn.q_proj"},
          {Role::kK, layer + "self_attn.k_proj"},
          {Role::kV, layer + "self_attn.v_proj"},
          {Role::kO, layer + "self_attn.out_proj"},
          {Role::kFfnNorm, layer + "final_layer_norm"},
          {Role::kUp, layer + "fc1"},
          {Role::kDown, layer + "fc2"}};
}

}  // namespace awq
