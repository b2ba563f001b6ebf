// GPT-J: parallel attention and MLP behind one LayerNorm; neighbouring elements of a part of each
// head rotate together; the head has a bias.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec GptjSpec(const Json& file) {
  const Json renamed = Renamed(file, {{"n_embd", "hidden_size"},
                                      {"n_layer", "num_hidden_layers"},
                                      {"n_head", "num_attention_heads"},
                                      {"n_inner", "intermediate_size"},
                                      {"n_positions", "max_position_embeddings"},
                                      {"activation_function", "hidden_act"}});
  const Json keys = Filled(renamed, {{"rotary_dim", 64}, {"hidden_act", "gelu_new"}});
  const int64_t hidden = PositiveInt(keys, "hidden_size");
  const Json config = Filled(keys, {{"intermediate_size", 4 * hidden}, {"mlp_bias", true}});
  ModelSpec m = LlamaSpec(config);
  SetNorms({.type = NormType::kLayer,
            .epsilon = config.Double("layer_norm_epsilon", 1e-5),
            .bias = true},
           m);
  const int64_t rotary = PositiveInt(config, "rotary_dim");
  for (LayerSpec& layer : m.layers) {
    GqaSpec& a = GqaOf(layer);
    AWQ_CHECK(rotary % 2 == 0 && rotary <= a.head_size, kCorrupt, config.Where(),
              ": rotary_dim: expected an even number up to the head size ", a.head_size, ", found ",
              rotary);
    a.rope.rotary = rotary;
    a.rope.interleaved = true;
    layer.residual = Residual::kParallel;
    MlpOf(layer).gated = false;
  }
  m.head.bias = true;
  return m;
}

NameMap GptjNames(const Json&) {
  const std::string layer = "transformer.h.{L}.";
  return {{Role::kEmbed, "transformer.wte"}, {Role::kFinalNorm, "transformer.ln_f"},
          {Role::kHead, "lm_head"},          {Role::kAttnNorm, layer + "ln_1"},
          {Role::kQ, layer + "attn.q_proj"}, {Role::kK, layer + "attn.k_proj"},
          {Role::kV, layer + "attn.v_proj"}, {Role::kO, layer + "attn.out_proj"},
          {Role::kUp, layer + "mlp.fc_in"},  {Role::kDown, layer + "mlp.fc_out"}};
}

}  // namespace awq
