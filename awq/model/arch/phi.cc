// Phi-1, 1.5 and 2: parallel attention and MLP behind one LayerNorm, a part of each head rotates,
// biases everywhere, also of the head.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec PhiSpec(const Json& file) {
  const Json config = Filled(file, {{"hidden_act", "gelu_new"}, {"partial_rotary_factor", 0.5}});
  AWQ_CHECK(!config.Bool("qk_layernorm", false), kUnsupported, config.Where(),
            ": qk_layernorm is not supported");
  ModelSpec m = LlamaSpec(config);
  SetNorms(
      {.type = NormType::kLayer, .epsilon = config.Double("layer_norm_eps", 1e-5), .bias = true},
      m);
  for (LayerSpec& layer : m.layers) {
    layer.residual = Residual::kParallel;
    GqaOf(layer).qkv_bias = GqaOf(layer).o_bias = true;
    MlpOf(layer).gated = false;
    MlpOf(layer).bias = true;
  }
  m.head.bias = true;
  return m;
}

NameMap PhiNames(const Json& config) {
  const std::string layer = "model.layers.{L}.";
  return LlamaNames(config)
      .With(Role::kFinalNorm, "model.final_layernorm")
      .With(Role::kO, layer + "self_attn.dense")
      .With(Role::kUp, layer + "mlp.fc1")
      .With(Role::kDown, layer + "mlp.fc2");
}

}  // namespace awq
