#include "awq/text/format/tokenizer_config.h"

#include <algorithm>
#include <array>
#include <map>

#include "awq/base/error.h"
#include "awq/base/json.h"

namespace awq {
namespace {

std::optional<bool> Flag(const Json& json, std::string_view key) {
  if (!json.Has(key)) return std::nullopt;
  return json.Bool(key);
}

int64_t ParseId(const std::string& text, const Json& where) {
  AWQ_CHECK(!text.empty() && text.size() < 10 &&
                text.find_first_not_of("0123456789") == std::string::npos,
            kCorrupt, where.Where(), ": expected a token id, found \"", text, "\"");
  return std::stoll(text);
}

template <size_t N>
bool IsOneOf(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

TokenizerConfig TokenizerConfig::Load(const std::filesystem::path& folder) {
  TokenizerConfig out;
  std::map<int64_t, AddedToken> added;
  const auto file = folder / "added_tokens.json";
  if (std::filesystem::exists(file)) {
    const Json json = Json::Load(file);
    AWQ_CHECK(json.raw().is_object(), kCorrupt, json.Where(), ": expected an object");
    for (const auto& [content, id] : json.raw().items()) {
      AddedToken token;
      token.content = content;
      token.normalized = false;
      token.special = true;
      added[json.Int(content)] = std::move(token);
    }
  }
  const auto config_file = folder / "tokenizer_config.json";
  if (std::filesystem::exists(config_file)) {
    const Json json = Json::Load(config_file);
    out.tokenizer_class = json.String("tokenizer_class", "");
    if (out.tokenizer_class.ends_with("Fast")) {
      out.tokenizer_class.resize(out.tokenizer_class.size() - 4);
    }
    out.add_bos = Flag(json, "add_bos_token");
    out.add_eos = Flag(json, "add_eos_token");
    out.add_prefix_space = Flag(json, "add_prefix_space");
    out.legacy = Flag(json, "legacy");
    if (const auto list = json.Find("added_tokens_decoder")) {
      AWQ_CHECK(list->raw().is_object(), kCorrupt, list->Where(), ": expected an object");
      for (const auto& [id, unused] : list->raw().items()) {
        const Json o = list->At(id);
        AddedToken token;
        token.content = o.String("content");
        token.special = o.Bool("special", false);
        token.single_word = o.Bool("single_word", false);
        token.lstrip = o.Bool("lstrip", false);
        token.rstrip = o.Bool("rstrip", false);
        token.normalized = o.Bool("normalized", !token.special);
        added[ParseId(id, *list)] = std::move(token);
      }
    }
  }
  for (auto& [id, token] : added) out.added.push_back(std::move(token));
  return out;
}

bool TokenizerConfig::BeginsWithBos() const {
  constexpr std::array<std::string_view, 5> kWithout = {"T5Tokenizer", "MT5Tokenizer",
                                                        "PegasusTokenizer", "MarianTokenizer",
                                                        "BigBirdPegasusTokenizer"};
  return !IsOneOf(kWithout, tokenizer_class);
}

bool TokenizerConfig::EndsWithEos() const {
  constexpr std::array<std::string_view, 4> kWith = {"T5Tokenizer", "MT5Tokenizer",
                                                     "PegasusTokenizer", "XLMRobertaTokenizer"};
  return IsOneOf(kWith, tokenizer_class);
}

}  // namespace awq
