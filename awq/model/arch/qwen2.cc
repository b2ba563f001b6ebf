// Qwen2 and Qwen2.5: the Llama block with biases on q, k, v; from some layer on a sliding window.
#include <string>
#include <vector>

#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec Qwen2Spec(const Json& config) { return Qwen2Spec(config, 0); }

ModelSpec Qwen2Spec(const Json& config, int64_t default_head_size) {
  ModelSpec m = LlamaSpec(config, default_head_size);
  const bool windowed = config.Bool("use_sliding_window", false) && config.Has("sliding_window");
  const int64_t window = windowed ? PositiveInt(config, "sliding_window") : 0;
  const int64_t first = config.Int("max_window_layers", 28);
  std::vector<Json> types;
  if (const auto listed = config.Find("layer_types")) types = listed->AsArray();
  AWQ_CHECK(types.empty() || types.size() == m.layers.size(), kCorrupt, config.Where(),
            ": layer_types: expected ", m.layers.size(), " entries, found ", types.size());
  for (size_t i = 0; i < m.layers.size(); ++i) {
    GqaSpec& a = m.layers[i].attention;
    a.qkv_bias = true;
    a.o_bias = false;
    m.layers[i].mlp.bias = false;
    const bool slides = types.empty() ? static_cast<int64_t>(i) >= first
                                      : types[i].AsString() == "sliding_attention";
    a.window = slides ? window : 0;
  }
  return m;
}

}  // namespace awq
