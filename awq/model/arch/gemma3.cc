// Gemma 3, text: Gemma 2 with norms of queries and keys instead of soft caps; windows in five of
// six layers, which rotate with a base of their own.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec Gemma3Spec(const Json& file) {
  const Json config = Filled(file, {{"rope_theta", 1e6},
                                    {"max_position_embeddings", 131072},
                                    {"attn_logit_softcapping", nullptr},
                                    {"final_logit_softcapping", nullptr},
                                    {"rope_local_base_freq", 10000.0}});
  ModelSpec m = Gemma2Spec(config);
  const int64_t window =
      config.Has("sliding_window") ? PositiveInt(config, "sliding_window") : 4096;
  const int64_t pattern =
      config.Has("sliding_window_pattern") ? PositiveInt(config, "sliding_window_pattern") : 6;
  SetWindows(
      config, window, [&](int64_t layer) { return (layer + 1) % pattern != 0; }, m);
  for (LayerSpec& layer : m.layers) {
    GqaSpec& a = GqaOf(layer);
    a.softcap = 0;
    a.qk_norm = QkNorm::kPerHead;
    if (a.window == 0) continue;
    a.rope.theta = config.Double("rope_local_base_freq");
    AWQ_CHECK(a.rope.theta > 1, kCorrupt, config.Where(),
              ": rope_local_base_freq: expected above 1, found ", a.rope.theta);
    a.rope.scaling = NoScaling{};
  }
  return m;
}

NameMap Gemma3Names(const Json& config) {
  return Gemma2Names(config)
      .With(Role::kQNorm, "model.layers.{L}.self_attn.q_norm")
      .With(Role::kKNorm, "model.layers.{L}.self_attn.k_norm");
}

}  // namespace awq
