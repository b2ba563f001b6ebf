#include "awq/api/internal/run_identity.h"

#include "awq/base/error.h"
#include "awq/checkpoint/companions.h"
#include "awq/checkpoint/manifest.h"
#include "awq/checkpoint/shard_index.h"
#include "awq/quant/journal.h"

namespace awq {
namespace fs = std::filesystem;

RawJson IdentifyInput(const Checkpoint& checkpoint, const std::vector<TokenBlock>& blocks,
                      const std::function<void()>& poll) {
  std::vector<fs::path> files = Companions(checkpoint.folder());
  files.push_back(checkpoint.folder() / "config.json");
  if (fs::exists(checkpoint.folder() / kShardIndexName)) {
    files.push_back(checkpoint.folder() / kShardIndexName);
  }
  for (const auto& file : checkpoint.files()) files.push_back(file->path());
  RawJson source = RawJson::object();
  for (const fs::path& file : files) {
    poll();
    source[file.lexically_relative(checkpoint.folder()).string()] = Sha256(file);
  }
  std::string tokens;
  for (const TokenBlock& block : blocks) {
    const auto size = static_cast<uint64_t>(block.size());
    tokens.append(reinterpret_cast<const char*>(&size), sizeof size);
    tokens.append(reinterpret_cast<const char*>(block.data()), block.size() * sizeof block[0]);
  }
  return {{"source", source}, {"calibration", Sha256OfText(tokens)}};
}

std::string WhyNotResumed(const RawJson& before, const RawJson& now) {
  const auto build = [](const RawJson& identity) {
    return identity.value("build", std::string("without a name"));
  };
  if (build(before) != build(now)) {
    return Cat("written by build ", build(before), ", this is build ", build(now));
  }
  return FirstDifference(before, now);
}

bool IsFinished(const fs::path& folder, std::string_view version, const RawJson& options,
                const RawJson& input) {
  const auto manifest = ReadManifest(folder);
  return manifest && manifest->awq_version == version && manifest->options == options &&
         manifest->made_from == input;
}

}  // namespace awq
