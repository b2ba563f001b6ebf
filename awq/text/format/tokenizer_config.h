// TokenizerConfig: what tokenizer_config.json and its companions say about a tokenizer whose
// vocabulary is in another file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "awq/text/added_tokens.h"

namespace awq {

struct TokenizerConfig {
  std::string tokenizer_class;  // without "Fast"; may be empty
  std::optional<bool> add_bos, add_eos, add_prefix_space, legacy;
  std::vector<AddedToken> added;  // by id

  // Absent files leave the defaults. Throws kCorrupt.
  static TokenizerConfig Load(const std::filesystem::path& folder);

  // What Transformers' class does when the configuration does not say.
  bool BeginsWithBos() const;
  bool EndsWithEos() const;
};

}  // namespace awq
