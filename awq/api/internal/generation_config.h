// Internal to api: how a checkpoint recommends to generate.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "awq/base/json.h"

namespace awq {

struct GenerationConfig {
  std::vector<int32_t> eos_ids;
  bool do_sample = false;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k;
};

// generation_config.json where there is one; the end-of-text ids else from config.json. Throws
// kCorrupt.
GenerationConfig ReadGenerationConfig(const std::filesystem::path& folder, const Json& config);

}  // namespace awq
