// Companion files: what a checkpoint folder holds beside its weights.
#pragma once

#include <filesystem>
#include <vector>

#include "awq/base/json.h"

namespace awq {

// The files of a checkpoint folder that CopyCompanions takes along, sorted; those of
// additional_chat_templates/ among them.
std::vector<std::filesystem::path> Companions(const std::filesystem::path& folder);

// Copies tokenizer, generation and processor files, templates, remote code and licences unchanged.
// Throws kIo.
void CopyCompanions(const std::filesystem::path& from, const std::filesystem::path& to);

// Writes config.json: the source's, with `quantization` as its quantization_config.
void WriteConfig(const Json& source, const RawJson& quantization,
                 const std::filesystem::path& folder);

}  // namespace awq
