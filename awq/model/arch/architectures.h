// The functions of all architectures; awq/model/arch.cc lists them.
#pragma once

#include <functional>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "awq/base/json.h"
#include "awq/model/names.h"
#include "awq/model/spec.h"

namespace awq {

ModelSpec LlamaSpec(const Json& config);
// For relatives whose head_dim is default_head_size when absent, not hidden_size over heads.
ModelSpec LlamaSpec(const Json& config, int64_t default_head_size);
NameMap LlamaNames(const Json& config);
ModelSpec BloomSpec(const Json& config);
NameMap BloomNames(const Json& config);
ModelSpec CohereSpec(const Json& config);
ModelSpec FalconSpec(const Json& config);
NameMap FalconNames(const Json& config);
ModelSpec GemmaSpec(const Json& config);
ModelSpec Gemma2Spec(const Json& config);
NameMap Gemma2Names(const Json& config);
ModelSpec Gemma3Spec(const Json& config);
NameMap Gemma3Names(const Json& config);
ModelSpec GptBigcodeSpec(const Json& config);
NameMap GptBigcodeNames(const Json& config);
ModelSpec GptNeoxSpec(const Json& config);
NameMap GptNeoxNames(const Json& config);
ModelSpec GptjSpec(const Json& config);
NameMap GptjNames(const Json& config);
ModelSpec GraniteSpec(const Json& config);
ModelSpec HeliumSpec(const Json& config);
ModelSpec MistralSpec(const Json& config);
ModelSpec MptSpec(const Json& config);
NameMap MptNames(const Json& config);
ModelSpec OlmoSpec(const Json& config);
ModelSpec OptSpec(const Json& config);
NameMap OptNames(const Json& config);
ModelSpec PhiSpec(const Json& config);
NameMap PhiNames(const Json& config);
ModelSpec Phi3Spec(const Json& config);
NameMap Phi3Names(const Json& config);
ModelSpec Qwen2Spec(const Json& config);
ModelSpec Qwen2Spec(const Json& config, int64_t default_head_size);
ModelSpec Qwen3Spec(const Json& config);
NameMap Qwen3Names(const Json& config);
ModelSpec MixtralSpec(const Json& config);
NameMap MixtralNames(const Json& config);
ModelSpec Qwen2MoeSpec(const Json& config);
NameMap Qwen2MoeNames(const Json& config);
ModelSpec Qwen3MoeSpec(const Json& config);
NameMap Qwen3MoeNames(const Json& config);
ModelSpec DeepSeekV2Spec(const Json& config);
ModelSpec DeepSeekV3Spec(const Json& config);
NameMap DeepSeekNames(const Json& config);
ModelSpec StablelmSpec(const Json& config);
ModelSpec Starcoder2Spec(const Json& config);
NameMap Starcoder2Names(const Json& config);

// Helpers that config readers share.

// A positive integer; throws kCorrupt naming the key.
int64_t PositiveInt(const Json& config, std::string_view key);
// Throws kCorrupt for numbers of experts that contradict each other.
void CheckMoe(const Json& config, const MoeSpec& moe);
// hidden_act or hidden_activation by its Transformers name; throws kUnsupported.
FfnActivation ReadActivation(const Json& config);
// The same of one key.
FfnActivation ReadActivation(const Json& config, std::string_view key);
// A copy with the keys of `defaults` that it does not mention; null is a mention.
Json Filled(const Json& config, const RawJson& defaults);
// A copy where the value of each key on the left is also found under the key on the right, unless
// that is there: config.json of older families, read with Llama's keys.
Json Renamed(const Json& config,
             std::initializer_list<std::pair<std::string_view, std::string_view>> keys);
// The window of every layer that slides: those that layer_types says, else those of `slides`.
void SetWindows(const Json& config, int64_t window, const std::function<bool(int64_t)>& slides,
                ModelSpec& model);
// Every norm of the model becomes this one.
void SetNorms(const NormSpec& norm, ModelSpec& model);

}  // namespace awq
