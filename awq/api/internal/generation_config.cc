#include "awq/api/internal/generation_config.h"

#include "awq/base/error.h"

namespace awq {
namespace {

// One id or a list of them.
std::vector<int32_t> ReadIds(const Json& json, std::string_view key) {
  const auto value = json.Find(key);
  if (!value) return {};
  std::vector<int32_t> out;
  const auto add = [&](const Json& id) {
    const int64_t v = id.AsInt();
    AWQ_CHECK(v >= 0 && v <= INT32_MAX, kCorrupt, id.Where(), ": expected a token id, found ", v);
    out.push_back(static_cast<int32_t>(v));
  };
  if (value->raw().is_array()) {
    for (const Json& id : value->AsArray()) add(id);
  } else {
    add(*value);
  }
  return out;
}

std::optional<double> ReadDouble(const Json& json, std::string_view key) {
  const auto value = json.Find(key);
  return value ? std::optional(value->AsDouble()) : std::nullopt;
}

}  // namespace

GenerationConfig ReadGenerationConfig(const std::filesystem::path& folder, const Json& config) {
  GenerationConfig out;
  const auto file = folder / "generation_config.json";
  if (std::filesystem::exists(file)) {
    const Json json = Json::Load(file);
    out.eos_ids = ReadIds(json, "eos_token_id");
    out.do_sample = json.Bool("do_sample", false);
    out.temperature = ReadDouble(json, "temperature");
    out.top_p = ReadDouble(json, "top_p");
    out.min_p = ReadDouble(json, "min_p");
    out.repetition_penalty = ReadDouble(json, "repetition_penalty");
    if (json.Has("top_k")) out.top_k = json.Int("top_k");
  }
  if (out.eos_ids.empty()) out.eos_ids = ReadIds(config, "eos_token_id");
  return out;
}

}  // namespace awq
