#include "awq/quant/method.h"

#include "awq/quant/method/methods.h"

namespace awq {

const std::vector<QuantMethodEntry>& QuantMethods() {
  static const std::vector<QuantMethodEntry> list = {{"rtn", MakeRtnMethod},
                                                     {"awq", MakeAwqMethod},
                                                     {"gptq", MakeGptqMethod},
                                                     {"joint", MakeJointMethod},
                                                     {"autoawq", MakeAutoAwqMethod}};
  return list;
}

std::unique_ptr<QuantMethod> MakeQuantMethod(std::string_view name) {
  std::string known;
  for (const QuantMethodEntry& entry : QuantMethods()) {
    if (entry.name == name) return entry.make();
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  Fail(ErrorCode::kInvalidArgument, "unknown method \"", name, "\"; known: ", known);
}

}  // namespace awq
