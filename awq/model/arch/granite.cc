// Granite: the Llama block with factors on embeddings, scores, what each part adds, and logits.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec GraniteSpec(const Json& config) {
  ModelSpec m = LlamaSpec(config);
  m.embed.scale = config.Double("embedding_multiplier", 1);
  const double divisor = config.Double("logits_scaling", 1);
  AWQ_CHECK(divisor > 0, kCorrupt, config.Where(), ": logits_scaling: expected above 0, found ",
            divisor);
  m.head.scale = 1 / divisor;
  for (LayerSpec& layer : m.layers) {
    layer.residual_scale = config.Double("residual_multiplier", 1);
    GqaOf(layer).scale = config.Double("attention_multiplier", 1);
  }
  return m;
}

}  // namespace awq
