// Gemma 2: Gemma with norms before and after attention and feed-forward part, a window in every
// second layer, soft caps on scores and logits, and a scale of its own for queries.
#include <cmath>

#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec Gemma2Spec(const Json& file) {
  const Json config = Filled(file, {{"num_key_value_heads", 4},
                                    {"hidden_activation", "gelu_pytorch_tanh"},
                                    {"query_pre_attn_scalar", 256},
                                    {"sliding_window", 4096},
                                    {"attn_logit_softcapping", 50.0},
                                    {"final_logit_softcapping", 30.0}});
  ModelSpec m = GemmaSpec(config);
  const FfnActivation activation = ReadActivation(config, "hidden_activation");
  const double query_size = config.Double("query_pre_attn_scalar");
  AWQ_CHECK(query_size > 0, kCorrupt, config.Where(),
            ": query_pre_attn_scalar: expected above 0, found ", query_size);
  for (LayerSpec& layer : m.layers) {
    layer.residual = Residual::kSandwich;
    GqaOf(layer).softcap = config.Double("attn_logit_softcapping", 0);
    GqaOf(layer).scale = 1 / std::sqrt(query_size);
    MlpOf(layer).activation = activation;
  }
  const int64_t window = config.Has("sliding_window") ? PositiveInt(config, "sliding_window") : 0;
  SetWindows(
      config, window, [](int64_t layer) { return layer % 2 == 0; }, m);
  m.head.softcap = config.Double("final_logit_softcapping", 0);
  return m;
}

NameMap Gemma2Names(const Json& config) {
  const std::string layer = "model.layers.{L}.";
  return LlamaNames(config)
      .With(Role::kAttnPostNorm, layer + "post_attention_layernorm")
      .With(Role::kFfnNorm, layer + "pre_feedforward_layernorm")
      .With(Role::kFfnPostNorm, layer + "post_feedforward_layernorm");
}

}  // namespace awq
