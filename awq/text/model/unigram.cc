#include "awq/text/model/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "awq/base/error.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

constexpr uint32_t kUnset = ~uint32_t{0};

// The best way to write what is before a position.
template <typename Real>
struct Best {
  Real score = 0;
  uint32_t begin = kUnset;  // of its last token
  TokenId id = 0;
};

}  // namespace

Unigram::Unigram(UnigramOptions options, Vocabulary vocabulary, std::vector<double> scores)
    : options_(std::move(options)), vocabulary_(std::move(vocabulary)), scores_(std::move(scores)) {
  constexpr double kUnkPenalty = 10;
  AWQ_CHECK(!options_.unk_id ||
                (*options_.unk_id >= 0 && static_cast<size_t>(*options_.unk_id) < scores_.size()),
            kCorrupt, "unk_id: expected a token id below ", scores_.size(), ", found ",
            *options_.unk_id);
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < scores_.size(); ++i) {
    AWQ_CHECK(std::isfinite(scores_[i]), kCorrupt, "the score of token ", i, " is ", scores_[i]);
    least = std::min(least, scores_[i]);
  }
  unk_score_ = options_.unk_score.value_or(least - kUnkPenalty);
  if (options_.byte_fallback) byte_ids_ = FindByteTokens(vocabulary_);
  std::vector<std::pair<std::string_view, int32_t>> keys;
  keys.reserve(vocabulary_.size());
  vocabulary_.Each([&](std::string_view piece, TokenId id) {
    if (options_.usable.empty() || options_.usable[static_cast<size_t>(id)]) {
      keys.emplace_back(piece, id);
    }
  });
  trie_ = ByteTrie(std::move(keys));
}

void Unigram::Append(std::string_view token, TokenId id, std::vector<TokenId>& out) const {
  if (id != options_.unk_id) {
    out.push_back(id);
    return;
  }
  // A run of unknown characters may be a token as a whole.
  const TokenId whole = options_.unknown_runs_as_tokens ? vocabulary_.Find(token) : -1;
  if (whole >= 0) {
    out.push_back(whole);
    return;
  }
  const size_t size = out.size();
  for (size_t i = 0; i < token.size() && !byte_ids_.empty(); ++i) {
    const TokenId byte = byte_ids_[static_cast<unsigned char>(token[i])];
    if (byte < 0) {
      out.resize(size);
      break;
    }
    out.push_back(byte);
  }
  if (out.size() == size) out.push_back(id);
}

template <typename Real>
std::vector<Unigram::Token> Unigram::BestPath(std::string_view piece) const {
  AWQ_CHECK(piece.size() < kUnset, kUnsupported, "a piece of more than 4 GB");
  std::vector<Best<Real>> best(piece.size() + 1);
  const auto offer = [&](size_t begin, size_t end, double score, TokenId id) {
    Best<Real>& b = best[end];
    if (b.begin != kUnset && score <= b.score) return;
    b.score = static_cast<Real>(score);
    b.begin = static_cast<uint32_t>(begin);
    b.id = id;
  };
  for (size_t begin = 0; begin < piece.size();) {
    const size_t character = DecodeUtf8(piece.substr(begin)).length;
    const Real here = best[begin].score;
    bool single = false;
    int32_t node = ByteTrie::kRoot;
    for (size_t end = begin; end < piece.size();) {
      node = trie_.Child(node, piece[end++]);
      if (node == ByteTrie::kNone) break;
      const TokenId id = trie_.Value(node);
      if (id < 0) continue;
      offer(begin, end, scores_[static_cast<size_t>(id)] + here, id);
      single |= end - begin == character;
    }
    if (!single) {
      AWQ_CHECK(options_.unk_id, kCorrupt, "no token for \"", piece.substr(begin, character),
                "\", and no unk_id");
      offer(begin, begin + character, static_cast<Real>(unk_score_) + here, *options_.unk_id);
    }
    begin += character;
  }
  std::vector<Token> tokens;  // from right to left, runs of unknown ones as one
  for (size_t end = piece.size(); end > 0;) {
    const Best<Real>& b = best[end];
    if (!tokens.empty() && b.id == options_.unk_id && tokens.back().id == b.id) {
      tokens.back().begin = b.begin;
    } else {
      tokens.push_back({b.begin, end, b.id});
    }
    end = b.begin;
  }
  return tokens;
}

void Unigram::Encode(std::string_view piece, std::vector<TokenId>& out) const {
  const std::vector<Token> tokens =
      options_.single_precision ? BestPath<float>(piece) : BestPath<double>(piece);
  for (size_t i = tokens.size(); i-- > 0;) {
    Append(piece.substr(tokens[i].begin, tokens[i].end - tokens[i].begin), tokens[i].id, out);
  }
}

}  // namespace awq
