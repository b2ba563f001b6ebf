#include "awq/text/tokenizer.h"

#include "awq/base/error.h"
#include "awq/base/file.h"
#include "awq/text/utf8.h"

namespace awq {

std::unique_ptr<const Tokenizer> Tokenizer::Load(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "tokenizer.json";
  AWQ_CHECK(std::filesystem::exists(file), kNotFound, file.string(),
            ": not found; only tokenizer.json is read (Transformers writes it when it saves a fast "
            "tokenizer)");
  return FromJson(ReadFile(file), file.string());
}

std::string Tokenizer::Decode(const std::vector<TokenId>& ids, bool skip_special) const {
  return ReplaceInvalidUtf8(DecodeBytes(ids, skip_special));
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::Push(TokenId id) {
  pending_ += tokenizer_.DecodeBytes({id}, skip_special_);
  const size_t whole = CompleteUtf8Prefix(pending_);
  std::string out = ReplaceInvalidUtf8(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return out;
}

std::string StreamDecoder::Finish() {
  std::string out = ReplaceInvalidUtf8(pending_);
  pending_.clear();
  return out;
}

}  // namespace awq
