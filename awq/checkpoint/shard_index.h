// model.safetensors.index.json: which shard holds which tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace awq {

inline constexpr const char* kSingleFileName = "model.safetensors";
inline constexpr const char* kShardIndexName = "model.safetensors.index.json";

// Tensor → name of a file beside the index. Throws kNotFound, kIo, kCorrupt.
std::map<std::string, std::string> ReadShardIndex(const std::filesystem::path& file);
// Durable, and appears whole.
void WriteShardIndex(const std::filesystem::path& file, int64_t total_bytes,
                     const std::map<std::string, std::string>& shard_of);

}  // namespace awq
