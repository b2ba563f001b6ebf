// OLMo: the Llama block with LayerNorms that have no weights, and clamped q, k, v.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec OlmoSpec(const Json& config) {
  ModelSpec m = LlamaSpec(config);
  SetNorms({.type = NormType::kLayer, .epsilon = 1e-5, .affine = false}, m);
  const double limit = config.Double("clip_qkv", 0);
  AWQ_CHECK(limit >= 0, kCorrupt, config.Where(), ": clip_qkv: expected above 0, found ", limit);
  for (LayerSpec& layer : m.layers) {
    GqaOf(layer).qkv_limit = limit;
    MlpOf(layer).bias = false;
  }
  return m;
}

}  // namespace awq
