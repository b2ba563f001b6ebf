#include "awq/checkpoint/companions.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/error.h"
#include "awq/base/file.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

constexpr std::array<std::string_view, 8> kPrefixes = {
    "tokenizer",           "generation_config", "special_tokens_map", "added_tokens",
    "preprocessor_config", "processor_config",  "chat_template",      "LICENSE"};
constexpr std::array<std::string_view, 7> kNames = {"vocab.json",
                                                    "merges.txt",
                                                    "vocab.txt",
                                                    "video_preprocessor_config.json",
                                                    "NOTICE",
                                                    "USE_POLICY.md",
                                                    "sentencepiece.bpe.model"};
constexpr std::array<std::string_view, 3> kSuffixes = {".tiktoken", ".py", ".spm"};

constexpr std::string_view kTemplates = "additional_chat_templates";

bool IsCompanion(std::string_view name) {
  const auto starts = [&](std::string_view p) { return name.starts_with(p); };
  const auto ends = [&](std::string_view s) { return name.ends_with(s); };
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), starts) ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
         std::any_of(kSuffixes.begin(), kSuffixes.end(), ends);
}

}  // namespace

std::vector<fs::path> Companions(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && IsCompanion(entry.path().filename().string())) {
      files.push_back(entry.path());
    }
  }
  // Named chat templates: additional_chat_templates/NAME.jinja.
  const fs::path templates = folder / kTemplates;
  if (fs::is_directory(templates)) {
    for (const auto& entry : fs::directory_iterator(templates)) {
      if (entry.is_regular_file() && entry.path().extension() == ".jinja") {
        files.push_back(entry.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void CopyCompanions(const fs::path& from, const fs::path& to) {
  for (const fs::path& file : Companions(from)) {
    const fs::path name = file.lexically_relative(from);
    fs::create_directories((to / name).parent_path());
    FileWriter out(to / name);
    out.Write(ReadFile(file));
    out.Close();
  }
}

void WriteConfig(const Json& source, const RawJson& quantization, const fs::path& folder) {
  RawJson config = source.raw();
  config["quantization_config"] = quantization;
  FileWriter out(folder / "config.json");
  out.Write(config.dump(2) + "\n");
  out.Close();
}

}  // namespace awq
