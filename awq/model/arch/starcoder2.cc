// StarCoder 2: LayerNorms, biases, an ungated MLP, a window in every layer.
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec Starcoder2Spec(const Json& file) {
  const bool bias = file.Bool("use_bias", true);
  const Json config = Filled(file, {{"hidden_act", "gelu_pytorch_tanh"},
                                    {"num_key_value_heads", 2},
                                    {"max_position_embeddings", 4096},
                                    {"tie_word_embeddings", true}});
  ModelSpec m = LlamaSpec(config);
  SetNorms({.type = NormType::kLayer, .epsilon = config.Double("norm_epsilon", 1e-5), .bias = true},
           m);
  const int64_t window = config.Has("sliding_window") ? PositiveInt(config, "sliding_window") : 0;
  SetWindows(
      config, window, [](int64_t) { return true; }, m);
  for (LayerSpec& layer : m.layers) {
    GqaOf(layer).qkv_bias = GqaOf(layer).o_bias = bias;
    MlpOf(layer).gated = false;
    MlpOf(layer).bias = bias;
  }
  return m;
}

NameMap Starcoder2Names(const Json& config) {
  const std::string layer = "model.layers.{L}.";
  return LlamaNames(config)
      .With(Role::kUp, layer + "mlp.c_fc")
      .With(Role::kDown, layer + "mlp.c_proj");
}

}  // namespace awq
