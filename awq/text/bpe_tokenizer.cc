#include "awq/text/bpe_tokenizer.h"

#include "awq/text/byte_level.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

std::vector<AddedToken> Select(const BpeTokenizerParts& parts, bool normalized) {
  std::vector<AddedToken> out;
  for (AddedToken token : parts.added) {
    if (token.normalized != normalized) continue;
    if (normalized) token.content = Normalize(parts.normalizers, token.content);
    out.push_back(std::move(token));
  }
  return out;
}

}  // namespace

// Pieces of one text that were encoded already: words repeat, merging them again is the main cost.
class BpeTokenizer::Pieces {
 public:
  explicit Pieces(const Bpe& bpe) : bpe_(bpe) {}

  void Encode(std::string_view piece, std::vector<TokenId>& out) {
    // A piece that occurs once in a short text is not worth remembering.
    constexpr size_t kLongest = 64;
    if (piece.size() < 2 || piece.size() > kLongest) {
      bpe_.Encode(piece, out);
      return;
    }
    const auto [it, fresh] = spans_.try_emplace(piece);
    if (fresh) {
      const size_t begin = memory_.size();
      bpe_.Encode(piece, memory_);
      it->second = {begin, memory_.size()};
    }
    out.insert(out.end(), memory_.begin() + static_cast<int64_t>(it->second.first),
               memory_.begin() + static_cast<int64_t>(it->second.second));
  }

 private:
  const Bpe& bpe_;
  std::unordered_map<std::string_view, std::pair<size_t, size_t>> spans_;
  std::vector<TokenId> memory_;
};

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts)
    : parts_(std::move(parts)), raw_(Select(parts_, false)), normalized_(Select(parts_, true)) {
  special_.resize(parts_.pieces.size());
  for (const AddedToken& t : parts_.added) special_[static_cast<size_t>(t.id)] = t.special;
  ids_.reserve(parts_.pieces.size());
  bytes_.reserve(parts_.pieces.size());
  for (size_t i = 0; i < parts_.pieces.size(); ++i) {
    const std::string& piece = parts_.pieces[i];
    if (!piece.empty()) ids_.emplace(piece, static_cast<TokenId>(i));
    bytes_.push_back(BytesOfPiece(piece).value_or(piece));
  }
}

void BpeTokenizer::EncodeText(std::string_view text, Pieces& pieces,
                              std::vector<TokenId>& out) const {
  std::vector<std::string_view> current = {text};
  std::vector<std::string_view> next;
  std::vector<std::unique_ptr<std::string>> arena;
  for (const auto& step : parts_.pre_tokenizers) {
    next.clear();
    for (std::string_view piece : current) step->Split(piece, next, arena);
    current.swap(next);
  }
  if (arena.empty()) {
    for (std::string_view piece : current) pieces.Encode(piece, out);
  } else {  // these pieces die with the arena
    for (std::string_view piece : current) parts_.bpe.Encode(piece, out);
  }
}

std::vector<TokenId> BpeTokenizer::Encode(std::string_view text, bool special) const {
  std::vector<TokenId> out;
  if (special) out = parts_.prefix;
  std::string valid;
  if (!IsValidUtf8(text)) {
    valid = ReplaceInvalidUtf8(text);
    text = valid;
  }
  std::vector<TextPart> parts;
  raw_.Split(text, parts);
  for (const TextPart& part : parts) {
    if (part.id >= 0) {
      out.push_back(part.id);
      continue;
    }
    const std::string normal =
        parts_.normalizers.empty() ? std::string() : Normalize(parts_.normalizers, part.text);
    std::vector<TextPart> inner;
    normalized_.Split(parts_.normalizers.empty() ? part.text : std::string_view(normal), inner);
    Pieces pieces(parts_.bpe);
    for (const TextPart& p : inner) {
      if (p.id >= 0) {
        out.push_back(p.id);
      } else {
        EncodeText(p.text, pieces, out);
      }
    }
  }
  if (special) out.insert(out.end(), parts_.suffix.begin(), parts_.suffix.end());
  return out;
}

std::string BpeTokenizer::DecodeBytes(const std::vector<TokenId>& ids, bool skip_special) const {
  std::string out;
  for (TokenId id : ids) {
    if (id < 0 || id >= VocabSize() || (skip_special && IsSpecial(id))) continue;
    out += bytes_[static_cast<size_t>(id)];
  }
  return out;
}

std::string BpeTokenizer::Piece(TokenId id) const {
  return id < 0 || id >= VocabSize() ? std::string() : parts_.pieces[static_cast<size_t>(id)];
}

std::optional<TokenId> BpeTokenizer::Find(std::string_view piece) const {
  const auto it = ids_.find(piece);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

bool BpeTokenizer::IsSpecial(TokenId id) const {
  return id >= 0 && id < VocabSize() && special_[static_cast<size_t>(id)];
}

}  // namespace awq
