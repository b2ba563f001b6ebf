#include "awq/model/arch.h"

#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

const std::vector<Architecture>& Architectures() {
  static const std::vector<Architecture> list = {
      {"RefinedWeb", FalconSpec, FalconNames},
      {"RefinedWebModel", FalconSpec, FalconNames},
      {"bloom", BloomSpec, BloomNames},
      {"cohere", CohereSpec, LlamaNames},
      {"deepseek_v2", DeepSeekV2Spec, DeepSeekNames},
      {"deepseek_v3", DeepSeekV3Spec, DeepSeekNames},
      {"falcon", FalconSpec, FalconNames},
      {"gemma", GemmaSpec, LlamaNames},
      {"gemma2", Gemma2Spec, Gemma2Names},
      {"gemma3_text", Gemma3Spec, Gemma3Names},
      {"gpt_bigcode", GptBigcodeSpec, GptBigcodeNames},
      {"gpt_neox", GptNeoxSpec, GptNeoxNames},
      {"gptj", GptjSpec, GptjNames},
      {"granite", GraniteSpec, LlamaNames},
      {"helium", HeliumSpec, LlamaNames},
      {"llama", LlamaSpec, LlamaNames},
      {"mistral", MistralSpec, LlamaNames},
      {"mixtral", MixtralSpec, MixtralNames},
      {"mpt", MptSpec, MptNames},
      {"olmo", OlmoSpec, LlamaNames},
      {"opt", OptSpec, OptNames},
      {"phi", PhiSpec, PhiNames},
      {"phi3", Phi3Spec, Phi3Names},
      {"qwen2", Qwen2Spec, LlamaNames},
      {"qwen2_moe", Qwen2MoeSpec, Qwen2MoeNames},
      {"qwen3", Qwen3Spec, Qwen3Names},
      {"qwen3_moe", Qwen3MoeSpec, Qwen3MoeNames},
      {"stablelm", StablelmSpec, LlamaNames},
      {"starcoder2", Starcoder2Spec, Starcoder2Names},
  };
  return list;
}

Model ReadModel(const Json& config) {
  const std::string type = config.String("model_type");
  std::string known;
  for (const Architecture& arch : Architectures()) {
    if (arch.model_type == type) {
      Model model{arch.spec(config), arch.names(config)};
      model.spec.arch = type;
      return model;
    }
    known += (known.empty() ? "" : ", ") + arch.model_type;
  }
  Fail(ErrorCode::kUnsupported, config.Where(), ": architecture \"", type,
       "\" is not supported; supported: ", known);
}

}  // namespace awq
