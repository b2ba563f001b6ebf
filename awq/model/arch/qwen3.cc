// Qwen3 dense: the Llama block with per-head RMS norms on queries and keys.
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec Qwen3Spec(const Json& config) {
  constexpr int64_t kDefaultHeadSize = 128;
  ModelSpec m = Qwen2Spec(config, kDefaultHeadSize);  // windows are stated as there
  const bool bias = config.Bool("attention_bias", false);
  for (LayerSpec& layer : m.layers) {
    GqaSpec& a = GqaOf(layer);
    a.qkv_bias = a.o_bias = bias;
    a.qk_norm = QkNorm::kPerHead;
  }
  return m;
}

NameMap Qwen3Names(const Json& config) {
  return LlamaNames(config)
      .With(Role::kQNorm, "model.layers.{L}.self_attn.q_norm")
      .With(Role::kKNorm, "model.layers.{L}.self_attn.k_norm");
}

}  // namespace awq
