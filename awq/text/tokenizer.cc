#include "awq/text/tokenizer.h"

#include "awq/base/error.h"
#include "awq/base/file.h"
#include "awq/text/format/formats.h"

namespace awq {

std::unique_ptr<const Tokenizer> Tokenizer::Load(const std::filesystem::path& folder) {
  for (const TokenizerFormat& format : TokenizerFormats()) {
    if (auto tokenizer = format.load(folder)) return tokenizer;
  }
  std::string names;
  for (const TokenizerFormat& format : TokenizerFormats()) {
    names += Cat(names.empty() ? "" : ", ", format.files);
  }
  Fail(ErrorCode::kNotFound, folder.string(), ": no tokenizer; looked for ", names);
}

std::string Tokenizer::Decode(const std::vector<TokenId>& ids, bool skip_special) const {
  const auto stream = StartDecoding(skip_special);
  std::string out;
  for (TokenId id : ids) out += stream->Push(id);
  return out + stream->Finish();
}

std::optional<TokenId> PrefixToken(const Tokenizer& tokenizer) {
  const auto with = tokenizer.Encode("a", true);
  const auto without = tokenizer.Encode("a", false);
  if (with.size() <= without.size() || with.front() == without.front()) return std::nullopt;
  return with.front();
}

}  // namespace awq
