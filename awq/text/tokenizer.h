// Tokenizer: text ↔ token ids exactly as Hugging Face `tokenizers` does it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "awq/text/vocabulary.h"

namespace awq {

// Ids that arrive one by one, on their way to text that never ends inside a character.
class TokenStream {
 public:
  virtual ~TokenStream() = default;
  // The text that this id settles; often empty. Unknown ids are left out.
  virtual std::string Push(TokenId id) = 0;
  // What is still held back, with incomplete bytes as U+FFFD. Nothing comes after it.
  virtual std::string Finish() = 0;
};

// Immutable after loading and safe to use from several threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Reads the tokenizer of a checkpoint folder: tokenizer.json, or else what docs/text.md lists.
  // Throws kNotFound, kCorrupt, kUnsupported (naming the component and what is supported).
  static std::unique_ptr<const Tokenizer> Load(const std::filesystem::path& folder);
  static std::unique_ptr<const Tokenizer> FromJson(std::string_view text,
                                                   const std::string& origin);

  // `special` runs the post-processor (BOS and the like). Added tokens in the text are recognised
  // either way, as Hugging Face does. Invalid UTF-8 is first replaced by U+FFFD per maximal
  // subpart. Throws kCorrupt when the vocabulary has neither a token nor an unknown token for
  // something, kUnsupported when a pattern backtracks too much.
  virtual std::vector<TokenId> Encode(std::string_view text, bool special) const = 0;
  // Special tokens are left out when skip_special. Must not outlive the tokenizer.
  virtual std::unique_ptr<TokenStream> StartDecoding(bool skip_special) const = 0;
  // All ids at once: what a stream gives for them.
  std::string Decode(const std::vector<TokenId>& ids, bool skip_special) const;

  // One more than the largest id.
  virtual int64_t VocabSize() const = 0;
  // The token as written in the vocabulary; empty when the id is unknown.
  virtual std::string Piece(TokenId id) const = 0;
  virtual std::optional<TokenId> Find(std::string_view piece) const = 0;
  virtual bool IsSpecial(TokenId id) const = 0;
};

// The token that the tokenizer puts in front of a text (BOS), if it does.
std::optional<TokenId> PrefixToken(const Tokenizer& tokenizer);

}  // namespace awq
