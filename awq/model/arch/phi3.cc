// Phi-3 and Phi-4: the Llama block with q, k, v and gate, up in one module each, and LongRoPE.
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec Phi3Spec(const Json& file) {
  const Json config = Filled(file, {{"rms_norm_eps", 1e-5},
                                    {"max_position_embeddings", 4096},
                                    {"original_max_position_embeddings", 4096}});
  ModelSpec m = LlamaSpec(config);
  const int64_t window = config.Has("sliding_window") ? PositiveInt(config, "sliding_window") : 0;
  SetWindows(
      config, window, [](int64_t) { return true; }, m);
  for (LayerSpec& layer : m.layers) {
    GqaOf(layer).qkv_bias = GqaOf(layer).o_bias = false;
    MlpOf(layer).bias = false;
  }
  return m;
}

NameMap Phi3Names(const Json& config) {
  const std::string layer = "model.layers.{L}.";
  return LlamaNames(config)
      .Fused({Role::kQ, Role::kK, Role::kV}, layer + "self_attn.qkv_proj")
      .Fused({Role::kGate, Role::kUp}, layer + "mlp.gate_up_proj");
}

}  // namespace awq
