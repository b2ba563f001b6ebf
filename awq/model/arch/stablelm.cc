// StableLM: the Llama block with LayerNorms, of which a part of each head rotates; sequential, or
// parallel behind one norm.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

ModelSpec StablelmSpec(const Json& file) {
  const Json config = Filled(file, {{"partial_rotary_factor", 0.25},
                                    {"num_key_value_heads", 32},
                                    {"max_position_embeddings", 4096}});
  AWQ_CHECK(!config.Bool("qk_layernorm", false), kUnsupported, config.Where(),
            ": qk_layernorm is not supported");
  ModelSpec m = LlamaSpec(config);
  SetNorms(
      {.type = NormType::kLayer, .epsilon = config.Double("layer_norm_eps", 1e-5), .bias = true},
      m);
  const bool parallel = config.Bool("use_parallel_residual", false);
  for (LayerSpec& layer : m.layers) {
    layer.residual = parallel ? Residual::kParallel : Residual::kSequential;
    GqaOf(layer).qkv_bias = config.Bool("use_qkv_bias", false);
    GqaOf(layer).o_bias = false;
    MlpOf(layer).bias = false;
  }
  return m;
}

}  // namespace awq
