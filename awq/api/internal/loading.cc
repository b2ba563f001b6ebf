#include "awq/api/internal/loading.h"

#include "awq/base/error.h"
#include "awq/model/arch.h"

namespace awq {

WeightSource OpenModel(const std::filesystem::path& folder) {
  const auto checkpoint = Checkpoint::Open(folder);
  return WeightSource(checkpoint, ReadModel(checkpoint->config()));
}

std::unique_ptr<const Tokenizer> LoadTokenizerIfAny(const std::filesystem::path& folder) {
  try {
    return Tokenizer::Load(folder);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kNotFound) throw;
    return nullptr;
  }
}

DType ActivationType(std::string_view name, const BackendInfo& device, bool exact) {
  if (name == "auto") return exact && device.name != "cuda" ? DType::kF32 : device.activation;
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  if (name == "f16") return DType::kF16;
  Fail(ErrorCode::kInvalidArgument, "dtype: expected auto, f32, bf16 or f16, found \"", name, "\"");
}

DType KvCacheType(std::string_view name, DType activations) {
  if (name == "auto") return activations;
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  if (name == "f16") return DType::kF16;
  if (name == "fp8") return DType::kF8E4M3;
  Fail(ErrorCode::kInvalidArgument, "kv-type: expected auto, f32, bf16, f16 or fp8, found \"", name,
       "\"");
}

int HeadBits(int wanted, const BackendInfo& device, const Checkpoint& checkpoint) {
  if (wanted != 0) return wanted;
  return device.name == "cuda" && checkpoint.format() != nullptr ? 8 : 16;
}

}  // namespace awq
