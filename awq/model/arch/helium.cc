// Helium: the Llama block with neighbouring elements of a head rotated together.
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec HeliumSpec(const Json& config) {
  constexpr int64_t kDefaultHeadSize = 128;
  ModelSpec m = LlamaSpec(config, kDefaultHeadSize);
  for (LayerSpec& layer : m.layers) {
    GqaOf(layer).rope.interleaved = true;
    GqaOf(layer).o_bias = false;
  }
  return m;
}

}  // namespace awq
