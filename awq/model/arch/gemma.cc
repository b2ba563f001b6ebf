// Gemma: the Llama block with norms that multiply by 1 + w, and embeddings as many times larger as
// their root mean square is smaller.
#include <cmath>

#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec GemmaSpec(const Json& file) {
  const Json config = Filled(file, {{"head_dim", 256},
                                    {"num_key_value_heads", 16},
                                    {"hidden_act", "gelu_pytorch_tanh"},
                                    {"max_position_embeddings", 8192},
                                    {"tie_word_embeddings", true}});
  ModelSpec m = LlamaSpec(config);
  m.embed.scale = std::sqrt(static_cast<double>(m.hidden));
  NormSpec norm = m.final_norm;
  norm.offset = 1;
  SetNorms(norm, m);
  for (LayerSpec& layer : m.layers) MlpOf(layer).bias = false;
  return m;
}

}  // namespace awq
