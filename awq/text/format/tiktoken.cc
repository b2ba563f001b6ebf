// Vocabularies as tiktoken writes them, a token in base64 and its rank a line, for checkpoints
// whose remote code says the rest: the pattern and the special tokens.
#include <algorithm>
#include <array>
#include <charconv>

#include "awq/base/error.h"
#include "awq/base/file.h"
#include "awq/text/base64.h"
#include "awq/text/byte_level.h"
#include "awq/text/decoder/decoders.h"
#include "awq/text/format/formats.h"
#include "awq/text/format/tokenizer_config.h"
#include "awq/text/model/bpe.h"
#include "awq/text/normalizer/normalizers.h"
#include "awq/text/pipeline.h"
#include "awq/text/pretokenizer/pretokenizers.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

// What a tokenizer class of remote code adds to its vocabulary.
struct TiktokenClass {
  std::string_view name;
  size_t ranks;  // of its vocabulary: tells it where no configuration does
  std::string_view pattern;
  bool nfc;
  std::vector<std::pair<std::string, TokenId>> (*special)();
};

std::vector<std::pair<std::string, TokenId>> QwenSpecial() {
  constexpr TokenId kFirst = 151643;
  constexpr int kExtras = 205;
  std::vector<std::pair<std::string, TokenId>> out = {
      {"<|endoftext|>", kFirst}, {"<|im_start|>", kFirst + 1}, {"<|im_end|>", kFirst + 2}};
  for (int i = 0; i < kExtras; ++i) out.emplace_back(Cat("<|extra_", i, "|>"), kFirst + 3 + i);
  return out;
}

std::vector<std::pair<std::string, TokenId>> Phi3SmallSpecial() {
  constexpr TokenId kVocab = 100352;
  std::vector<std::pair<std::string, TokenId>> out = {
      {"<|dummy_id_2|>", 100256}, {"<|endoftext|>", 100257},  {"<|fim_prefix|>", 100258},
      {"<|fim_middle|>", 100259}, {"<|fim_suffix|>", 100260}, {"<|system|>", 100261},
      {"<|user|>", 100262},       {"<|assistant|>", 100263},  {"<|dummy_id_0|>", 100264},
      {"<|dummy_id_1|>", 100265}, {"<|end|>", 100266}};
  for (int i = 3; i <= 11; ++i) out.emplace_back(Cat("<|dummy_id_", i, "|>"), 100267 + i - 3);
  out.emplace_back("<|endofprompt|>", 100276);
  for (TokenId id = 100277; id < kVocab; ++id) {
    out.emplace_back(Cat("<|dummy_id_", 12 + id - 100277, "|>"), id);
  }
  return out;
}

constexpr std::array<TiktokenClass, 2> kClasses = {{
    {"QWenTokenizer", 151643,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     true, QwenSpecial},
    {"Phi3SmallTokenizer", 100256,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     false, Phi3SmallSpecial},
}};

// Calls each(base64, rank) for every line.
template <typename Each>
void ForEachLine(std::string_view file, const Each& each) {
  size_t number = 1;
  for (size_t at = 0; at < file.size(); ++number) {
    const size_t end = std::min(file.find('\n', at), file.size());
    std::string_view line = file.substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    int64_t rank = -1;
    if (space != std::string_view::npos) {
      const char* last = line.data() + line.size();
      const auto [stop, error] = std::from_chars(line.data() + space + 1, last, rank);
      if (error != std::errc() || stop != last) rank = -1;
    }
    AWQ_CHECK(rank >= 0 && rank <= Vocabulary::kMaxId, kCorrupt, "line ", number,
              ": expected a token in base64 and its rank");
    try {
      each(line.substr(0, space), rank);
    } catch (const Error& e) {
      Fail(e.code(), "line ", number, ": ", e.what());
    }
  }
}

std::unique_ptr<const Model> MakeBpe(std::string_view file) {
  Vocabulary vocabulary;
  size_t lines = 0;
  ForEachLine(file, [&](std::string_view, int64_t) { ++lines; });
  vocabulary.Reserve(lines, 8 * lines);
  ForEachLine(file, [&](std::string_view base64, int64_t rank) {
    const std::string piece = PieceOfBytes(DecodeBase64(base64));
    AWQ_CHECK(
        !piece.empty() && vocabulary.Find(piece) < 0 && !vocabulary.Has(static_cast<TokenId>(rank)),
        kCorrupt, "a token that is empty or there twice");
    vocabulary.Add(piece, rank);
  });
  BpeOptions options;
  options.ignore_merges = true;
  auto bpe = std::make_unique<Bpe>(std::move(options), std::move(vocabulary));
  // Neighbours are joined when the joint is a token, the lowest rank first: a merge for every way
  // to split a token in two.
  bpe->vocabulary().Each([&](std::string_view piece, TokenId id) {
    for (size_t at = 1; at < piece.size(); ++at) {
      if ((piece[at] & 0xc0) == 0x80) continue;
      const TokenId left = bpe->vocabulary().Find(piece.substr(0, at));
      const TokenId right = left < 0 ? -1 : bpe->vocabulary().Find(piece.substr(at));
      if (right >= 0) bpe->AddMerge(left, right, id, id);
    }
  });
  bpe->Finish();
  return bpe;
}

const TiktokenClass& ChooseClass(const TokenizerConfig& config, size_t ranks) {
  for (const TiktokenClass& c : kClasses) {
    if (config.tokenizer_class == c.name) return c;
  }
  std::string names;
  for (const TiktokenClass& c : kClasses) {
    if (ranks == c.ranks) return c;
    names += Cat(names.empty() ? "" : ", ", c.name);
  }
  Fail(ErrorCode::kUnsupported, "a tiktoken vocabulary of ", ranks, " ranks for the class \"",
       config.tokenizer_class, "\"; supported: ", names);
}

std::unique_ptr<const Tokenizer> Build(std::string_view file, const TokenizerConfig& config) {
  PipelineParts parts;
  parts.model = MakeBpe(file);
  const TiktokenClass& c = ChooseClass(config, parts.model->vocabulary().size());
  if (c.nfc) parts.normalizers.push_back(MakeUnicodeForm(NormalForm::kNfc));
  parts.pre_tokenizers.push_back(MakeSplit(Regex(c.pattern), SplitBehavior::kIsolated, false));
  parts.pre_tokenizers.push_back(MakeByteLevel(false, false));
  parts.decoders.push_back(MakeByteLevelDecoder());
  for (auto& [content, id] : c.special()) {
    AddedToken token;
    token.content = std::move(content);
    token.id = id;
    token.special = true;
    token.normalized = false;
    parts.added.push_back(std::move(token));
  }
  return std::make_unique<Pipeline>(std::move(parts));
}

}  // namespace

bool IsTiktoken(std::string_view file) {
  const std::string_view line = file.substr(0, std::min<size_t>(file.find('\n'), 1000));
  const size_t space = line.find(' ');
  constexpr std::string_view kBase64 =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
  return space != std::string_view::npos && space > 0 &&
         line.substr(0, space).find_first_not_of(kBase64) == std::string_view::npos &&
         line.substr(space + 1).find_first_not_of("0123456789\r") == std::string_view::npos;
}

std::unique_ptr<const Tokenizer> FromTiktoken(std::string_view file, const TokenizerConfig& config,
                                              const std::string& origin) {
  try {
    return Build(file, config);
  } catch (const Error& e) {
    Fail(e.code(), origin, ": ", e.what());
  }
}

std::unique_ptr<const Tokenizer> LoadTiktoken(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".tiktoken") || name == "tokenizer.model") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) return nullptr;
  return FromTiktoken(ReadFile(files[0]), TokenizerConfig::Load(folder), files[0].string());
}

}  // namespace awq
