// Qwen2 and Qwen2.5: the Llama block with biases on q, k, v; from some layer on a sliding window.
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec Qwen2Spec(const Json& config) { return Qwen2Spec(config, 0); }

ModelSpec Qwen2Spec(const Json& config, int64_t default_head_size) {
  ModelSpec m = LlamaSpec(config, default_head_size);
  const bool windowed = config.Bool("use_sliding_window", false) && config.Has("sliding_window");
  const int64_t window = windowed ? PositiveInt(config, "sliding_window") : 0;
  const int64_t first = config.Int("max_window_layers", 28);
  SetWindows(
      config, window, [&](int64_t layer) { return layer >= first; }, m);
  for (LayerSpec& layer : m.layers) {
    GqaOf(layer).qkv_bias = true;
    GqaOf(layer).o_bias = false;
    MlpOf(layer).bias = false;
  }
  return m;
}

}  // namespace awq
