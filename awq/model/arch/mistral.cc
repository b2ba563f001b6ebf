// Mistral: the Llama block without biases, with a sliding window in every layer.
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec MistralSpec(const Json& config) {
  ModelSpec m = LlamaSpec(config);
  // Transformers' default when the key is absent; null switches the window off.
  constexpr int64_t kDefaultWindow = 4096;
  const bool stated = config.raw().contains("sliding_window");
  const int64_t window = config.Has("sliding_window") ? PositiveInt(config, "sliding_window")
                         : stated                     ? 0
                                                      : kDefaultWindow;
  for (LayerSpec& layer : m.layers) {
    GqaSpec& a = GqaOf(layer);
    a.window = window;
    a.qkv_bias = a.o_bias = false;
    MlpOf(layer).bias = false;
  }
  return m;
}

}  // namespace awq
