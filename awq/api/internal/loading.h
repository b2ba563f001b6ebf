// Internal to api: what every verb that runs a model does first.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "awq/checkpoint/weights.h"
#include "awq/ops/backend.h"
#include "awq/text/tokenizer.h"

namespace awq {

// Opens the checkpoint and reads its specification.
WeightSource OpenModel(const std::filesystem::path& folder);

// The folder's tokenizer of whatever kind; null if it has none.
std::unique_ptr<const Tokenizer> LoadTokenizerIfAny(const std::filesystem::path& folder);

// "f32", "bf16", "f16" or "auto": what the device computes fastest in, or, when `exact`, F32 on
// hosts. Throws kInvalidArgument listing the names.
DType ActivationType(std::string_view name, const BackendInfo& device, bool exact);
// "f32", "bf16", "f16", "fp8" or "auto": that of activations. Throws kInvalidArgument listing the
// names.
DType KvCacheType(std::string_view name, DType activations);
// Of the head: `wanted`, or for 0 the default: 8 on a GPU where the checkpoint is quantized, else
// 16. docs/quality.md has what that costs.
int HeadBits(int wanted, const BackendInfo& device, const Checkpoint& checkpoint);

}  // namespace awq
