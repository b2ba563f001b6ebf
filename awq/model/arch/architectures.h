// The functions of all architectures; awq/model/arch.cc lists them.
#pragma once

#include "awq/base/json.h"
#include "awq/model/names.h"
#include "awq/model/spec.h"

namespace awq {

ModelSpec LlamaSpec(const Json& config);
// For relatives whose head_dim is default_head_size when absent, not hidden_size over heads.
ModelSpec LlamaSpec(const Json& config, int64_t default_head_size);
NameMap LlamaNames(const Json& config);
ModelSpec HeliumSpec(const Json& config);
ModelSpec MistralSpec(const Json& config);
ModelSpec Qwen2Spec(const Json& config);
ModelSpec Qwen2Spec(const Json& config, int64_t default_head_size);
ModelSpec Qwen3Spec(const Json& config);
NameMap Qwen3Names(const Json& config);

// Helpers that config readers share.

// A positive integer; throws kCorrupt naming the key.
int64_t PositiveInt(const Json& config, std::string_view key);
// hidden_act or hidden_activation by its Transformers name; throws kUnsupported.
FfnActivation ReadActivation(const Json& config);

}  // namespace awq
