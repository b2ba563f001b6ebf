#include "awq/text/format/json_model.h"

#include <array>
#include <optional>

#include "awq/text/format/json_component.h"
#include "awq/text/format/score.h"
#include "awq/text/model/bpe.h"
#include "awq/text/model/unigram.h"
#include "awq/text/model/word_level.h"
#include "awq/text/model/word_piece.h"

namespace awq {
namespace {

namespace od = simdjson::ondemand;
using Made = std::unique_ptr<const Model>;

// A member of "model", from the beginning of the file: its members may come in any order.
od::value Member(od::document& document, std::string_view name) {
  document.rewind();
  od::value value;
  const auto error = document.find_field("model").find_field_unordered(name).get(value);
  AWQ_CHECK(error != simdjson::NO_SUCH_FIELD, kCorrupt, "missing");
  if (error) throw simdjson::simdjson_error(error);
  return value;
}

// Errors in a member get its path in front; so do values of the wrong type, which the parser
// knows without it.
template <typename Call>
void At(const Json& model, std::string_view member, const Call& call) {
  try {
    call();
  } catch (const simdjson::simdjson_error& e) {
    if (e.error() != simdjson::INCORRECT_TYPE && e.error() != simdjson::NUMBER_ERROR) throw;
    Fail(ErrorCode::kCorrupt, model.Where(), ".", member, ": ", e.what());
  } catch (const Error& e) {
    Fail(e.code(), model.Where(), ".", member, ": ", e.what());
  }
}

// The text that begins behind a quote of the file, when it needs no unescaping. It stays where it
// is: copies would take as much memory again.
bool IsPlain(const char* begin, std::string_view& text) {
  const char* end = begin;
  while (*end != '"' && *end != '\\') ++end;
  text = std::string_view(begin, static_cast<size_t>(end - begin));
  return *end == '"';
}

std::string_view Text(od::value value) {
  const std::string_view token = value.raw_json_token();
  std::string_view text;
  if (token.starts_with('"') && IsPlain(token.data() + 1, text)) return text;
  return value.get_string();
}

// {"piece": id, …}
Vocabulary ReadVocabulary(od::document& document, const Json& model) {
  Vocabulary out;
  At(model, "vocab", [&] {
    od::object vocab = Member(document, "vocab").get_object();
    const size_t count = vocab.count_fields();
    out.Reserve(count, 8 * count);
    for (auto field : vocab) {
      std::string_view piece;
      if (!IsPlain(field.key().raw(), piece)) piece = field.unescaped_key();
      int64_t id = -1;
      AWQ_CHECK(!field.value().get(id), kCorrupt, "\"", piece, "\": expected a token id");
      out.Add(piece, id);
    }
  });
  return out;
}

// "a b" or ["a", "b"]; none for a comment.
std::optional<Bpe::Parts> ReadMerge(od::value merge) {
  if (merge.type() == od::json_type::array) {
    std::array<std::string_view, 2> parts;
    size_t n = 0;
    for (auto part : merge.get_array()) {
      AWQ_CHECK(n < 2, kCorrupt, "expected two parts");
      parts[n++] = Text(part.value());
    }
    AWQ_CHECK(n == 2, kCorrupt, "expected two parts");
    return Bpe::Parts{parts[0], parts[1]};
  }
  const std::string_view both = Text(merge);
  if (both.starts_with("#version")) return std::nullopt;
  const size_t space = both.find(' ');
  AWQ_CHECK(space != std::string_view::npos && both.find(' ', space + 1) == std::string_view::npos,
            kCorrupt, "\"", both, "\": expected two parts");
  return Bpe::Parts{both.substr(0, space), both.substr(space + 1)};
}

void ReadMerges(od::array merges, Bpe& bpe) {
  constexpr size_t kBlock = 64;
  bpe.Reserve(merges.count_elements());
  std::vector<Bpe::Parts> block;
  const auto flush = [&] {
    const size_t added = bpe.AddMerges(block);
    AWQ_CHECK(added == block.size(), kCorrupt, "\"", block[added].left, "\" \"", block[added].right,
              "\" joins or makes something that is not in the vocabulary");
    block.clear();
  };
  size_t i = 0;
  for (auto merge : merges) {
    try {
      if (const auto parts = ReadMerge(merge.value())) block.push_back(*parts);
    } catch (const Error& e) {
      Fail(e.code(), "entry ", i, ": ", e.what());
    }
    if (block.size() == kBlock) flush();
    ++i;
  }
  flush();
}

Made ReadBpe(od::document& document, const Json& model) {
  const double dropout = model.Double("dropout", 0);
  AWQ_CHECK(dropout == 0, kUnsupported, model.Where(), ".dropout: ", dropout,
            "; supported: none, since it makes tokens random");
  BpeOptions options;
  options.unk_token = model.String("unk_token", "");
  options.continuing_subword_prefix = model.String("continuing_subword_prefix", "");
  options.end_of_word_suffix = model.String("end_of_word_suffix", "");
  options.fuse_unk = model.Bool("fuse_unk", false);
  options.byte_fallback = model.Bool("byte_fallback", false);
  options.ignore_merges = model.Bool("ignore_merges", false);
  auto bpe = std::make_unique<Bpe>(std::move(options), ReadVocabulary(document, model));
  At(model, "merges", [&] { ReadMerges(Member(document, "merges").get_array(), *bpe); });
  bpe->Finish();
  return bpe;
}

// [["piece", score], …]
Made ReadUnigram(od::document& document, const Json& model) {
  Vocabulary vocabulary;
  std::vector<double> scores;
  At(model, "vocab", [&] {
    od::array pieces = Member(document, "vocab").get_array();
    const size_t count = pieces.count_elements();
    vocabulary.Reserve(count, 8 * count);
    scores.reserve(count);
    for (auto entry : pieces) {
      size_t n = 0;
      for (auto part : entry.get_array()) {
        if (n == 0) vocabulary.Add(part.get_string(), static_cast<int64_t>(scores.size()));
        if (n == 1) {
          const std::string_view number = part.raw_json_token();
          static_cast<void>(part.get_double().value());  // throws where that is no number
          scores.push_back(ScoreOf(number));
        }
        ++n;
      }
      AWQ_CHECK(n == 2, kCorrupt, "entry ", scores.size(), ": expected [piece, score]");
    }
  });
  UnigramOptions options;
  options.byte_fallback = model.Bool("byte_fallback", false);
  if (model.Has("unk_id")) {
    const int64_t id = model.Int("unk_id");
    AWQ_CHECK(id >= 0 && id <= Vocabulary::kMaxId, kCorrupt, model.Where(), ".unk_id: ", id);
    options.unk_id = static_cast<TokenId>(id);
  }
  return AtPath(model, [&]() -> Made {
    return std::make_unique<Unigram>(std::move(options), std::move(vocabulary), std::move(scores));
  });
}

Made ReadWordPiece(od::document& document, const Json& model) {
  WordPieceOptions options;
  options.unk_token = model.String("unk_token", options.unk_token);
  options.continuing_subword_prefix =
      model.String("continuing_subword_prefix", options.continuing_subword_prefix);
  const int64_t longest = model.Int("max_input_chars_per_word", 100);
  AWQ_CHECK(longest >= 0, kCorrupt, model.Where(), ".max_input_chars_per_word: ", longest);
  options.max_input_chars_per_word = static_cast<size_t>(longest);
  return std::make_unique<WordPiece>(std::move(options), ReadVocabulary(document, model));
}

Made ReadWordLevel(od::document& document, const Json& model) {
  return std::make_unique<WordLevel>(model.String("unk_token", ""),
                                     ReadVocabulary(document, model));
}

using Reader = Made (*)(od::document&, const Json&);
constexpr std::array<std::pair<std::string_view, Reader>, 4> kModels = {{
    {"BPE", ReadBpe},
    {"Unigram", ReadUnigram},
    {"WordPiece", ReadWordPiece},
    {"WordLevel", ReadWordLevel},
}};

}  // namespace

std::unique_ptr<const Model> ReadModel(od::document& document, const Json& small) {
  const std::string type = small.String("type", "BPE");
  std::string names;
  for (const auto& [name, read] : kModels) {
    if (name == type) return read(document, small);
    names += Cat(names.empty() ? "" : ", ", name);
  }
  Fail(ErrorCode::kUnsupported, small.Where(), ": type \"", type, "\"; supported: ", names);
}

}  // namespace awq
