// Manifest: awq_manifest.json, the SHA-256 of every file of a checkpoint that this program wrote.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/json.h"

namespace awq {

inline constexpr std::string_view kManifestName = "awq_manifest.json";

struct Manifest {
  std::string awq_version;
  RawJson options;  // what the checkpoint was made with
  std::map<std::string, std::string>
      files;               // name in the folder → SHA-256, 64 lower-case hex digits
  RawJson made_from = {};  // hashes of its source and calibration tokens; null if unknown
};

// Lower-case hex. Throws kNotFound, kIo.
std::string Sha256(const std::filesystem::path& file);
std::string Sha256OfText(std::string_view text);

std::string Sha256OfText(std::string_view text);

// Hashes the regular files of a folder and writes the manifest beside them. Throws kIo.
void WriteManifest(const std::filesystem::path& folder, std::string_view awq_version,
                   const RawJson& options, const RawJson& made_from = {});

// Empty when the folder has none. Throws kCorrupt for anything that is not a manifest.
std::optional<Manifest> ReadManifest(const std::filesystem::path& folder);

// One sentence for each file that is missing or different: "model.safetensors: expected SHA-256 …,
// found …". Throws kIo.
std::vector<std::string> CheckManifest(const std::filesystem::path& folder,
                                       const Manifest& manifest);

}  // namespace awq
