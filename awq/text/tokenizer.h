// Tokenizer: text ↔ token ids exactly as Hugging Face `tokenizers` does it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace awq {

using TokenId = int32_t;

// Immutable after loading and safe to use from several threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Reads tokenizer.json of a checkpoint folder. Throws kNotFound, kCorrupt, kUnsupported (naming
  // the component and what is supported).
  static std::unique_ptr<const Tokenizer> Load(const std::filesystem::path& folder);
  static std::unique_ptr<const Tokenizer> FromJson(std::string_view text,
                                                   const std::string& origin);

  // `special` runs the post-processor (BOS and the like). Added tokens in the text are recognised
  // either way, as Hugging Face does. Invalid UTF-8 is first replaced by U+FFFD per maximal
  // subpart.
  virtual std::vector<TokenId> Encode(std::string_view text, bool special) const = 0;
  // Special tokens are left out when skip_special. Incomplete UTF-8 becomes U+FFFD; unknown ids
  // nothing.
  std::string Decode(const std::vector<TokenId>& ids, bool skip_special) const;
  // The same before incomplete UTF-8 is replaced.
  virtual std::string DecodeBytes(const std::vector<TokenId>& ids, bool skip_special) const = 0;

  // One more than the largest id.
  virtual int64_t VocabSize() const = 0;
  // The token as written in the vocabulary; empty when the id is unknown.
  virtual std::string Piece(TokenId id) const = 0;
  virtual std::optional<TokenId> Find(std::string_view piece) const = 0;
  virtual bool IsSpecial(TokenId id) const = 0;
};

// Turns ids that arrive one by one into text that never ends inside a UTF-8 character.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special);
  // The text that this id completes; often empty inside a multi-byte character.
  std::string Push(TokenId id);
  // What is still held back, with incomplete bytes as U+FFFD.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::string pending_;  // the beginning of a character
};

}  // namespace awq
