// tokenizer.model and its like: SentencePiece models, for checkpoints without tokenizer.json.
#include <algorithm>
#include <array>
#include <limits>
#include <map>

#include "awq/base/error.h"
#include "awq/base/file.h"
#include "awq/base/json.h"
#include "awq/text/decoder/decoders.h"
#include "awq/text/format/formats.h"
#include "awq/text/format/sentencepiece_proto.h"
#include "awq/text/format/tokenizer_config.h"
#include "awq/text/model/bpe.h"
#include "awq/text/model/unigram.h"
#include "awq/text/model/user_defined.h"
#include "awq/text/normalizer/normalizers.h"
#include "awq/text/pipeline.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

using Proto = SentencePieceProto;

// What text can be made of; the others stand for themselves alone.
bool IsText(const Proto::Piece& piece) {
  return piece.type == Proto::kNormal || piece.type == Proto::kUserDefined ||
         piece.type == Proto::kUnused;
}

std::vector<std::string> UserDefinedSymbols(const Proto& proto) {
  std::vector<std::string> out;
  for (const Proto::Piece& piece : proto.pieces) {
    if (piece.type == Proto::kUserDefined) out.push_back(piece.text);
  }
  return out;
}

std::optional<TokenId> UnknownId(const Proto& proto) {
  for (size_t i = 0; i < proto.pieces.size(); ++i) {
    if (proto.pieces[i].type == Proto::kUnknown) return static_cast<TokenId>(i);
  }
  return std::nullopt;
}

Vocabulary MakeVocabulary(const Proto& proto) {
  Vocabulary out;
  size_t bytes = 0;
  for (const Proto::Piece& piece : proto.pieces) bytes += piece.text.size();
  out.Reserve(proto.pieces.size(), bytes);
  for (size_t i = 0; i < proto.pieces.size(); ++i) {
    AWQ_CHECK(out.Find(proto.pieces[i].text) < 0, kCorrupt, "piece ", i, " \"",
              proto.pieces[i].text, "\" is there twice");
    out.Add(proto.pieces[i].text, static_cast<int64_t>(i));
  }
  return out;
}

std::unique_ptr<const Model> MakeUnigram(const Proto& proto) {
  constexpr float kUnkPenalty = 10;
  float least = std::numeric_limits<float>::max();
  float most = std::numeric_limits<float>::min();  // above all scores there are, as in the library
  for (const Proto::Piece& piece : proto.pieces) {
    if (piece.type != Proto::kNormal) continue;
    least = std::min(least, piece.score);
    most = std::max(most, piece.score);
  }
  UnigramOptions options;
  options.unk_id = UnknownId(proto);
  options.byte_fallback = proto.byte_fallback;
  options.unk_score = least - kUnkPenalty;
  options.unknown_runs_as_tokens = false;
  options.single_precision = true;
  std::vector<double> scores;
  for (const Proto::Piece& piece : proto.pieces) {
    options.usable.push_back(piece.type == Proto::kNormal || piece.type == Proto::kUserDefined);
    // A symbol of the user's beats any way to write it otherwise.
    const bool user = piece.type == Proto::kUserDefined;
    const auto length = static_cast<float>(piece.text.size());
    scores.push_back(user ? double{length * most} - 0.1 : double{piece.score});
  }
  return std::make_unique<Unigram>(std::move(options), MakeVocabulary(proto), std::move(scores));
}

// SentencePiece merges the two neighbours whose joint has the best score; so does a merge for
// every way to split a piece in two, ranked by the score of the whole.
std::unique_ptr<const Model> MakeBpe(const Proto& proto) {
  std::map<float, int32_t, std::greater<>> ranks;
  for (const Proto::Piece& piece : proto.pieces) {
    AWQ_CHECK(piece.type != Proto::kUnused, kUnsupported, "piece \"", piece.text,
              "\" is unused; supported in BPE models: normal, user-defined, control, byte pieces");
    if (IsText(piece)) ranks.emplace(piece.score, 0);
  }
  int32_t next = 0;
  for (auto& [score, rank] : ranks) rank = next++;

  BpeOptions options;
  if (const auto unk = UnknownId(proto)) {
    options.unk_token = proto.pieces[static_cast<size_t>(*unk)].text;
  }
  options.fuse_unk = true;
  options.byte_fallback = proto.byte_fallback;
  auto bpe = std::make_unique<Bpe>(std::move(options), MakeVocabulary(proto));
  const Vocabulary& vocabulary = bpe->vocabulary();
  const auto text_id = [&](std::string_view part) {
    const TokenId id = vocabulary.Find(part);
    return id >= 0 && IsText(proto.pieces[static_cast<size_t>(id)]) ? id : -1;
  };
  for (size_t i = 0; i < proto.pieces.size(); ++i) {
    const Proto::Piece& piece = proto.pieces[i];
    if (!IsText(piece)) continue;
    const std::string_view text = piece.text;
    for (size_t at = DecodeUtf8(text).length; at < text.size();
         at += DecodeUtf8(text.substr(at)).length) {
      const TokenId left = text_id(text.substr(0, at));
      const TokenId right = left < 0 ? -1 : text_id(text.substr(at));
      if (right >= 0) bpe->AddMerge(left, right, ranks[piece.score], static_cast<TokenId>(i));
    }
  }
  bpe->Finish();
  std::vector<std::string> symbols = UserDefinedSymbols(proto);
  if (symbols.empty()) return bpe;
  return std::make_unique<UserDefined>(std::move(bpe), symbols);
}

constexpr const char* kMark = "\xe2\x96\x81";  // stands for a space

std::unique_ptr<const Tokenizer> Build(const Proto& proto, const TokenizerConfig& config) {
  SentencePieceRules rules;
  rules.charsmap = proto.charsmap;
  rules.user_defined = UserDefinedSymbols(proto);
  rules.add_dummy_prefix = proto.add_dummy_prefix && config.add_prefix_space.value_or(true);
  rules.dummy_prefix_at_start_only = !config.legacy.value_or(true);
  rules.remove_extra_whitespaces = proto.remove_extra_whitespaces;
  rules.escape_whitespaces = proto.escape_whitespaces;
  rules.whitespace_as_suffix = proto.treat_whitespace_as_suffix;

  PipelineParts parts;
  // Spaces at the beginning of a text that encoding has put there or would have removed.
  if (rules.remove_extra_whitespaces || rules.add_dummy_prefix) {
    parts.decoders.push_back(MakeLeadingMarkDecoder(kMark, rules.remove_extra_whitespaces));
  }
  parts.normalizers.push_back(MakeSentencePiece(std::move(rules)));
  parts.model = proto.model_type == Proto::kBpe ? MakeBpe(proto) : MakeUnigram(proto);
  parts.decoders.push_back(MakeReplaceTextDecoder(kMark, " "));
  parts.decoders.push_back(MakeByteFallback());
  for (const Proto::Piece& piece : proto.pieces) {
    if (piece.type != Proto::kControl && piece.type != Proto::kUnknown) continue;
    AddedToken token;
    token.content = piece.text;
    token.special = true;
    token.normalized = false;
    parts.added.push_back(std::move(token));
  }
  parts.added.insert(parts.added.end(), config.added.begin(), config.added.end());

  std::vector<TemplateItem> items = {std::nullopt};
  const auto count = static_cast<int64_t>(proto.pieces.size());
  const bool bos = config.add_bos.value_or(config.BeginsWithBos());
  const bool eos = config.add_eos.value_or(config.EndsWithEos());
  if (bos && proto.bos_id >= 0 && proto.bos_id < count) {
    items.insert(items.begin(), static_cast<TokenId>(proto.bos_id));
  }
  if (eos && proto.eos_id >= 0 && proto.eos_id < count) {
    items.push_back(static_cast<TokenId>(proto.eos_id));
  }
  parts.post_processor.Add(std::move(items));
  return std::make_unique<Pipeline>(std::move(parts));
}

}  // namespace

std::unique_ptr<const Tokenizer> FromSentencePiece(std::string_view model,
                                                   const TokenizerConfig& config,
                                                   const std::string& origin) {
  try {
    return Build(Proto::Parse(model), config);
  } catch (const Error& e) {
    Fail(e.code(), origin, ": ", e.what());
  }
}

std::unique_ptr<const Tokenizer> LoadSentencePiece(const std::filesystem::path& folder) {
  constexpr std::array<std::string_view, 4> kNames = {"tokenizer.model", "spiece.model",
                                                      "sentencepiece.bpe.model", "spm.model"};
  for (std::string_view name : kNames) {
    const std::filesystem::path file = folder / name;
    if (!std::filesystem::exists(file)) continue;
    const std::string model = ReadFile(file);
    if (IsTiktoken(model)) continue;
    return FromSentencePiece(model, TokenizerConfig::Load(folder), file.string());
  }
  return nullptr;
}

}  // namespace awq
