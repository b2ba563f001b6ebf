// The kinds of files that a folder's tokenizer can be read from, the best first.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "awq/text/format/tokenizer_config.h"
#include "awq/text/tokenizer.h"

namespace awq {

struct TokenizerFormat {
  std::string_view files;  // what it looks for
  // Nothing when the folder has no such file.
  std::unique_ptr<const Tokenizer> (*load)(const std::filesystem::path& folder);
};

std::span<const TokenizerFormat> TokenizerFormats();

std::unique_ptr<const Tokenizer> LoadTokenizerJson(const std::filesystem::path& folder);
std::unique_ptr<const Tokenizer> LoadSentencePiece(const std::filesystem::path& folder);
std::unique_ptr<const Tokenizer> LoadTiktoken(const std::filesystem::path& folder);

// Errors name `origin`.
std::unique_ptr<const Tokenizer> FromSentencePiece(std::string_view model,
                                                   const TokenizerConfig& config,
                                                   const std::string& origin);
std::unique_ptr<const Tokenizer> FromTiktoken(std::string_view file, const TokenizerConfig& config,
                                              const std::string& origin);
// Whether a file, whatever its name, holds lines of base64 and ranks.
bool IsTiktoken(std::string_view file);

}  // namespace awq
