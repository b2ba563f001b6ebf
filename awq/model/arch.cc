#include "awq/model/arch.h"

#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

const std::vector<Architecture>& Architectures() {
  static const std::vector<Architecture> list = {
      {"helium", HeliumSpec, LlamaNames},   {"llama", LlamaSpec, LlamaNames},
      {"mistral", MistralSpec, LlamaNames}, {"qwen2", Qwen2Spec, LlamaNames},
      {"qwen3", Qwen3Spec, Qwen3Names},
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
