// Command-R and Aya: parallel attention and MLP behind one LayerNorm without bias, neighbouring
// elements rotate together, logits are scaled.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec CohereSpec(const Json& file) {
  const Json config =
      Filled(file, {{"max_position_embeddings", 8192}, {"tie_word_embeddings", true}});
  AWQ_CHECK(!config.Bool("use_qk_norm", false), kUnsupported, config.Where(),
            ": use_qk_norm is not supported");
  ModelSpec m = LlamaSpec(config);
  SetNorms({.type = NormType::kLayer, .epsilon = config.Double("layer_norm_eps", 1e-5)}, m);
  for (LayerSpec& layer : m.layers) {
    layer.residual = Residual::kParallel;
    GqaOf(layer).rope.interleaved = true;
    MlpOf(layer).bias = false;
  }
  m.head.scale = config.Double("logit_scale", 0.0625);
  return m;
}

}  // namespace awq
