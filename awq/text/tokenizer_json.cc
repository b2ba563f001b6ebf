// tokenizer.json: reads the components of a Hugging Face tokenizer and puts them together.
#include <simdjson.h>
#include <optional>

#include <set>
#include <string>

#include "awq/base/error.h"
#include "awq/text/bpe_tokenizer.h"
#include "awq/text/byte_level.h"

namespace awq {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

// Ids beyond this are taken for a damaged file.
constexpr int64_t kMaxVocab = int64_t{1} << 24;

class Reader {
 public:
  explicit Reader(std::string origin) : origin_(std::move(origin)) {}

  BpeTokenizerParts Read(const object& root) {
    const object model = Object(root, "model");
    const std::string type = Text(model, "type", "BPE");
    if (type != "BPE") Unsupported("model", type, "BPE (byte-level)");
    ReadNormalizer(Member(root, "normalizer"));
    ReadPreTokenizer(Member(root, "pre_tokenizer"));
    if (!byte_level_) {
      Unsupported("pre_tokenizer", "without ByteLevel",
                  "BPE whose pre_tokenizer ends in ByteLevel");
    }
    ReadDecoder(Member(root, "decoder"));
    ReadModel(model);
    ReadAddedTokens(Member(root, "added_tokens"));
    ReadPostProcessor(Member(root, "post_processor"));
    return std::move(parts_);
  }

 private:
  [[noreturn]] void Unsupported(std::string_view part, std::string_view found,
                                std::string_view supported) const {
    Fail(ErrorCode::kUnsupported, origin_, ": ", part, " \"", found, "\"; supported: ", supported);
  }
  template <typename... Args>
  [[noreturn]] void Corrupt(const Args&... args) const {
    Fail(ErrorCode::kCorrupt, origin_, ": ", args...);
  }

  // Nothing when absent or null.
  static std::optional<element> Member(const object& o, std::string_view key) {
    element e;
    if (o[key].get(e) != simdjson::SUCCESS || IsNull(e)) return std::nullopt;
    return e;
  }
  static bool IsNull(const element& e) {
    return e.type() == simdjson::dom::element_type::NULL_VALUE;
  }
  object Object(const object& o, std::string_view key) const {
    object out;
    if (o[key].get(out) != simdjson::SUCCESS) Corrupt("expected an object \"", key, "\"");
    return out;
  }
  std::string Text(const object& o, std::string_view key, std::string_view otherwise) const {
    std::string_view s;
    const auto error = o[key].get(s);
    if (error == simdjson::NO_SUCH_FIELD) return std::string(otherwise);
    if (error != simdjson::SUCCESS) {
      element e;
      if (o[key].get(e) == simdjson::SUCCESS && IsNull(e)) return std::string(otherwise);
      Corrupt("expected a string \"", key, "\"");
    }
    return std::string(s);
  }
  bool Flag(const object& o, std::string_view key, bool otherwise) const {
    bool b = otherwise;
    const auto error = o[key].get(b);
    if (error != simdjson::SUCCESS && error != simdjson::NO_SUCH_FIELD) {
      Corrupt("expected true or false for \"", key, "\"");
    }
    return error == simdjson::SUCCESS ? b : otherwise;
  }
  TokenId Id(const element& e) const {
    int64_t id = -1;
    if (e.get(id) != simdjson::SUCCESS || id < 0 || id >= kMaxVocab) {
      Corrupt("expected a token id in [0, ", kMaxVocab, ")");
    }
    return static_cast<TokenId>(id);
  }
  // Calls each(object) for a component, or for the members of a Sequence of them.
  template <typename Each>
  void ForEach(const std::optional<element>& component, std::string_view list, const Each& each,
               int depth = 0) {
    if (!component) return;
    object o;
    if (component->get(o) != simdjson::SUCCESS || depth > 8) Corrupt("expected a component object");
    if (Text(o, "type", "") != "Sequence") {
      each(o);
      return;
    }
    array members;
    if (o[list].get(members) != simdjson::SUCCESS) Corrupt("a Sequence without \"", list, "\"");
    for (const element& member : members) ForEach(member, list, each, depth + 1);
  }

  void ReadNormalizer(const std::optional<element>& e) {
    ForEach(e, "normalizers", [&](const object& o) {
      const std::string type = Text(o, "type", "");
      const NormalForm form = type == "NFC"    ? NormalForm::kNfc
                              : type == "NFD"  ? NormalForm::kNfd
                              : type == "NFKC" ? NormalForm::kNfkc
                                               : NormalForm::kNfkd;
      if (form == NormalForm::kNfkd && type != "NFKD") {
        Unsupported("normalizer", type, "NFC, NFD, NFKC, NFKD, Sequence");
      }
      parts_.normalizers.push_back(form);
    });
  }

  void ReadPreTokenizer(const std::optional<element>& e) {
    ForEach(e, "pretokenizers", [&](const object& o) {
      const std::string type = Text(o, "type", "");
      if (byte_level_)
        Unsupported("pre_tokenizer", type + " after ByteLevel", "ByteLevel at the end");
      if (type == "ByteLevel") {
        byte_level_ = true;
        parts_.pre_tokenizers.push_back(
            MakeByteLevel(Flag(o, "add_prefix_space", true), Flag(o, "use_regex", true)));
      } else if (type == "Split") {
        parts_.pre_tokenizers.push_back(ReadSplit(o));
      } else if (type == "Digits") {
        parts_.pre_tokenizers.push_back(MakeSplit(Regex(R"(\p{N})"),
                                                  Flag(o, "individual_digits", false)
                                                      ? SplitBehavior::kIsolated
                                                      : SplitBehavior::kContiguous,
                                                  false));
      } else {
        Unsupported("pre_tokenizer", type, "Sequence, Split, Digits, ByteLevel");
      }
    });
  }

  std::unique_ptr<const PreTokenizer> ReadSplit(const object& o) const {
    const object pattern = Object(o, "pattern");
    const std::string literal = Text(pattern, "String", "");
    const std::string regex = Text(pattern, "Regex", "");
    if (literal.empty() && regex.empty()) Corrupt("a Split without a pattern");
    const std::string name = Text(o, "behavior", "");
    const auto behavior = [&] {
      if (name == "Removed") return SplitBehavior::kRemoved;
      if (name == "Isolated") return SplitBehavior::kIsolated;
      if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
      if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
      if (name == "Contiguous") return SplitBehavior::kContiguous;
      Corrupt("Split: unknown behavior \"", name, "\"");
    }();
    try {
      return MakeSplit(Regex(regex.empty() ? EscapeRegex(literal) : regex), behavior,
                       Flag(o, "invert", false));
    } catch (const Error& error) {
      Fail(error.code(), origin_, ": ", error.what());
    }
  }

  void ReadDecoder(const std::optional<element>& e) {
    bool byte_level = false;
    ForEach(e, "decoders", [&](const object& o) {
      const std::string type = Text(o, "type", "");
      byte_level |= type == "ByteLevel";
      if (type != "ByteLevel" && type != "Fuse") {
        Unsupported("decoder", type, "ByteLevel, Fuse, Sequence");
      }
    });
    if (!byte_level) Unsupported("decoder", "none", "ByteLevel");
  }

  void SetPiece(TokenId id, std::string_view piece) {
    const auto i = static_cast<size_t>(id);
    if (i >= parts_.pieces.size()) parts_.pieces.resize(i + 1);
    parts_.pieces[i] = piece;
  }

  void ReadModel(const object& model) {
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix", "unk_token"}) {
      const std::string value = Text(model, key, "");
      if (!value.empty()) Unsupported(key, value, "byte-level BPE without it");
    }
    double dropout = 0;
    if (model["dropout"].get(dropout) == simdjson::SUCCESS && dropout != 0) {
      Unsupported("dropout", std::to_string(dropout), "none");
    }
    if (Flag(model, "byte_fallback", false)) Unsupported("byte_fallback", "true", "false");
    parts_.bpe.set_ignore_merges(Flag(model, "ignore_merges", false));
    const object vocab = Object(model, "vocab");
    array merges;
    if (model["merges"].get(merges) != simdjson::SUCCESS) Corrupt("expected an array \"merges\"");
    parts_.bpe.Reserve(vocab.size(), merges.size());
    parts_.pieces.reserve(vocab.size() + 1024);
    for (const auto& [piece, value] : vocab) {
      const TokenId id = Id(value);
      SetPiece(id, piece);
      if (auto bytes = BytesOfPiece(piece)) parts_.bpe.AddToken(std::move(*bytes), id);
    }
    for (const element& merge : merges) ReadMerge(merge);
  }

  void ReadMerge(const element& merge) {
    std::string_view left;
    std::string_view right;
    std::string_view both;
    array pair;
    if (merge.get(both) == simdjson::SUCCESS) {
      const size_t space = both.find(' ');
      if (space == std::string_view::npos) Corrupt("merge \"", both, "\": expected two parts");
      left = both.substr(0, space);
      right = both.substr(space + 1);
    } else if (merge.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
               pair.at(0).get(left) != simdjson::SUCCESS ||
               pair.at(1).get(right) != simdjson::SUCCESS) {
      Corrupt("expected a merge \"a b\" or [\"a\", \"b\"]");
    }
    const auto a = BytesOfPiece(left);
    const auto b = BytesOfPiece(right);
    if (!a || !b) Corrupt("merge \"", left, "\" \"", right, "\": not in the byte alphabet");
    try {
      parts_.bpe.AddMerge(*a, *b);
    } catch (const Error& error) {
      Corrupt(error.what(), " (\"", left, "\" \"", right, "\")");
    }
  }

  void ReadAddedTokens(const std::optional<element>& e) {
    if (!e) return;
    array tokens;
    if (e->get(tokens) != simdjson::SUCCESS) Corrupt("expected an array \"added_tokens\"");
    for (const element& item : tokens) {
      object o;
      if (item.get(o) != simdjson::SUCCESS) Corrupt("expected an object in \"added_tokens\"");
      AddedToken token;
      element id;
      if (o["id"].get(id) != simdjson::SUCCESS) Corrupt("an added token without an id");
      token.id = Id(id);
      token.content = Text(o, "content", "");
      token.special = Flag(o, "special", false);
      token.single_word = Flag(o, "single_word", false);
      token.lstrip = Flag(o, "lstrip", false);
      token.rstrip = Flag(o, "rstrip", false);
      token.normalized = Flag(o, "normalized", !token.special);
      SetPiece(token.id, token.content);
      parts_.added.push_back(std::move(token));
    }
  }

  void ReadPostProcessor(const std::optional<element>& e) {
    ForEach(e, "processors", [&](const object& o) {
      const std::string type = Text(o, "type", "");
      if (type == "ByteLevel") return;  // changes offsets alone
      if (type == "TemplateProcessing") {
        ReadTemplate(o);
      } else if (type == "RobertaProcessing" || type == "BertProcessing") {
        Surround({PairId(o, "cls")}, {PairId(o, "sep")});
      } else {
        Unsupported("post_processor", type,
                    "ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing, Sequence");
      }
    });
  }

  // ["</s>", 2]
  TokenId PairId(const object& o, std::string_view key) const {
    array pair;
    if (o[key].get(pair) != simdjson::SUCCESS || pair.size() != 2) {
      Corrupt("post_processor: expected [token, id] for \"", key, "\"");
    }
    return Id(pair.at(1).value_unsafe());
  }

  void Surround(const std::vector<TokenId>& before, const std::vector<TokenId>& after) {
    parts_.prefix.insert(parts_.prefix.begin(), before.begin(), before.end());
    parts_.suffix.insert(parts_.suffix.end(), after.begin(), after.end());
  }

  void ReadTemplate(const object& o) {
    array single;
    if (o["single"].get(single) != simdjson::SUCCESS)
      Corrupt("TemplateProcessing without \"single\"");
    object special;
    if (o["special_tokens"].get(special) != simdjson::SUCCESS)
      Corrupt("TemplateProcessing without \"special_tokens\"");
    std::vector<TokenId> before;
    std::vector<TokenId> after;
    bool seen = false;
    for (const element& item : single) {
      object entry;
      if (item.get(entry) != simdjson::SUCCESS) Corrupt("TemplateProcessing: expected objects");
      object sequence;
      object token;
      if (entry["Sequence"].get(sequence) == simdjson::SUCCESS) {
        if (seen) Unsupported("TemplateProcessing", "the text twice", "it once");
        seen = true;
      } else if (entry["SpecialToken"].get(token) == simdjson::SUCCESS) {
        AppendSpecial(special, Text(token, "id", ""), seen ? after : before);
      } else {
        Corrupt("TemplateProcessing: expected Sequence or SpecialToken");
      }
    }
    if (!seen) Unsupported("TemplateProcessing", "without the text", "it once");
    Surround(before, after);
  }

  void AppendSpecial(const object& special, const std::string& name,
                     std::vector<TokenId>& out) const {
    object token;
    array ids;
    if (special[name].get(token) != simdjson::SUCCESS ||
        token["ids"].get(ids) != simdjson::SUCCESS) {
      Corrupt("TemplateProcessing: no ids for special token \"", name, "\"");
    }
    for (const element& id : ids) out.push_back(Id(id));
  }

  std::string origin_;
  BpeTokenizerParts parts_;
  bool byte_level_ = false;
};

}  // namespace

std::unique_ptr<const Tokenizer> Tokenizer::FromJson(std::string_view text,
                                                     const std::string& origin) {
  simdjson::dom::parser parser;
  element root;
  object o;
  const simdjson::padded_string padded(text);
  const auto error = parser.parse(padded).get(root);
  AWQ_CHECK(error == simdjson::SUCCESS, kCorrupt, origin,
            ": bad JSON: ", simdjson::error_message(error));
  AWQ_CHECK(root.get(o) == simdjson::SUCCESS, kCorrupt, origin, ": expected an object");
  return std::make_unique<BpeTokenizer>(Reader(origin).Read(o));
}

}  // namespace awq
