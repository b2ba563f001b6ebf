#include "awq/text/model/bpe.h"

#include <algorithm>
#include <limits>
#include <queue>

#include "awq/base/error.h"
#include "awq/text/hash.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

// Beyond this many symbols a queue beats scanning for the best pair again and again.
constexpr size_t kScanLimit = 48;
constexpr std::string_view kMetaspace = "\xe2\x96\x81";

uint64_t PairOf(TokenId left, TokenId right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

}  // namespace

Bpe::Merge::Merge(TokenId left, TokenId right, int32_t rank, TokenId result) {
  const auto made = static_cast<uint32_t>(result);
  first_ = static_cast<uint32_t>(left) | made << 22;
  second_ = static_cast<uint32_t>(right) | made >> 10 << 22;
  third_ = static_cast<uint32_t>(rank) | made >> 20 << 30;
}

Bpe::Bpe(BpeOptions options, Vocabulary vocabulary)
    : options_(std::move(options)), vocabulary_(std::move(vocabulary)) {
  std::string character;
  for (size_t c = 0; c < character_ids_.size(); ++c) {
    character.clear();
    AppendUtf8(static_cast<char32_t>(c), character);
    character_ids_[c] = vocabulary_.Find(character);
  }
  if (options_.byte_fallback) byte_ids_ = FindByteTokens(vocabulary_);
  if (!options_.unk_token.empty()) unk_ = vocabulary_.Find(options_.unk_token);
}

void Bpe::Reserve(size_t merges) {
  table_.assign(std::max<size_t>(64, merges + merges * 2 / 3), Merge());
}

size_t Bpe::AddMerges(std::span<const Parts> merges) {
  const size_t prefix = options_.continuing_subword_prefix.size();
  std::string joined;
  size_t bytes = 0;
  for (const Parts& m : merges) bytes += m.left.size() + m.right.size();
  joined.reserve(bytes);  // does not grow: pieces point into it
  std::vector<std::string_view> pieces;
  for (const Parts& m : merges) {
    const size_t begin = joined.size();
    joined.append(m.left).append(m.right.substr(std::min(prefix, m.right.size())));
    pieces.insert(pieces.end(), {m.left, m.right, std::string_view(joined).substr(begin)});
  }
  std::vector<TokenId> ids(pieces.size());
  vocabulary_.FindAll(pieces, ids);
  size_t count = 0;
  for (; count < merges.size(); ++count) {
    const TokenId* id = &ids[3 * count];
    if (id[0] < 0 || id[1] < 0 || id[2] < 0 || merges[count].right.size() < prefix) break;
    if (!table_.empty()) __builtin_prefetch(&table_[FirstPlace(id[0], id[1])]);
  }
  for (size_t i = 0; i < count; ++i) {
    const TokenId* id = &ids[3 * i];
    AddMerge(id[0], id[1], static_cast<int32_t>(merges_), id[2]);
  }
  return count;
}

void Bpe::AddMerge(TokenId left, TokenId right, int32_t rank, TokenId result) {
  AWQ_CHECK(rank >= 0 && rank <= Merge::kMaxRank, kCorrupt, "too many merges");
  if (3 * (merges_ + 1) > 2 * table_.size()) {
    std::vector<Merge> old = std::move(table_);
    table_.assign(std::max<size_t>(64, 2 * old.size()), Merge());
    for (const Merge& m : old) {
      if (m.exists()) InsertMerge(m);
    }
  }
  InsertMerge({left, right, rank, result});
  ++merges_;
}

size_t Bpe::FirstPlace(TokenId left, TokenId right) const {
  return static_cast<size_t>((MixHash(PairOf(left, right)) >> 32) * table_.size() >> 32);
}

void Bpe::InsertMerge(const Merge& merge) {
  size_t i = FirstPlace(merge.left(), merge.right());
  while (table_[i].exists() && !table_[i].Joins(merge.left(), merge.right())) i = NextPlace(i);
  table_[i] = merge;
}

const Bpe::Merge* Bpe::FindMerge(TokenId left, TokenId right) const {
  if (table_.empty()) return nullptr;
  for (size_t i = FirstPlace(left, right); table_[i].exists(); i = NextPlace(i)) {
    if (table_[i].Joins(left, right)) return &table_[i];
  }
  return nullptr;
}

// A piece can be cut before a metaspace when no merge joins what is before to it.
void Bpe::Finish() {
  cuts_ = false;
  before_space_.clear();
  const TokenId space = vocabulary_.Find(kMetaspace);
  if (space < 0 || !options_.continuing_subword_prefix.empty() ||
      !options_.end_of_word_suffix.empty() || options_.ignore_merges) {
    return;
  }
  // Below, a token is taken for the text it is spelled with.
  size_t ids = 0;
  for (TokenId id = 0; id < vocabulary_.end(); ++id) ids += vocabulary_.Has(id);
  if (ids != vocabulary_.size()) return;
  std::vector<bool> text(static_cast<size_t>(vocabulary_.end()), true);
  if (unk_ >= 0) text[static_cast<size_t>(unk_)] = false;
  for (TokenId id : byte_ids_) {
    if (id >= 0) text[static_cast<size_t>(id)] = false;
  }
  for (const Merge& m : table_) {
    if (!m.exists()) continue;
    if (!text[static_cast<size_t>(m.left())] || !text[static_cast<size_t>(m.right())]) return;
    const std::string_view piece = vocabulary_.Piece(m.result());
    for (size_t at = 1; (at = piece.find(kMetaspace, at)) != std::string_view::npos; ++at) {
      before_space_.insert(DecodeUtf8(LastCharacter(piece.substr(0, at))).code);
    }
  }
  cuts_ = true;
}

void Bpe::Cut(std::string_view piece, const std::function<void(std::string_view)>& part) const {
  size_t begin = 0;
  for (size_t at = 1; cuts_ && (at = piece.find(kMetaspace, at)) != std::string_view::npos; ++at) {
    const char32_t before = DecodeUtf8(LastCharacter(piece.substr(0, at))).code;
    if (before_space_.contains(before)) continue;
    part(piece.substr(begin, at - begin));
    begin = at;
  }
  part(piece.substr(begin));
}

TokenId Bpe::IdOf(std::string_view character, bool first, bool last) const {
  const bool prefix = !first && !options_.continuing_subword_prefix.empty();
  const bool suffix = last && !options_.end_of_word_suffix.empty();
  if (!prefix && !suffix) {
    const char32_t code = DecodeUtf8(character).code;
    return code < character_ids_.size() ? character_ids_[code] : vocabulary_.Find(character);
  }
  std::string written;
  if (prefix) written += options_.continuing_subword_prefix;
  written += character;
  if (suffix) written += options_.end_of_word_suffix;
  return vocabulary_.Find(written);
}

// Hugging Face falls back on the bytes of what it has looked up, prefix and suffix included.
bool Bpe::AppendBytes(std::string_view character, bool first, bool last,
                      std::vector<TokenId>& out) const {
  if (byte_ids_.empty()) return false;
  const size_t size = out.size();
  const auto append = [&](std::string_view bytes) {
    for (char b : bytes) {
      const TokenId id = byte_ids_[static_cast<unsigned char>(b)];
      if (id < 0) return false;
      out.push_back(id);
    }
    return true;
  };
  if ((first || append(options_.continuing_subword_prefix)) && append(character) &&
      (!last || append(options_.end_of_word_suffix))) {
    return true;
  }
  out.resize(size);
  return false;
}

void Bpe::Symbols(std::string_view piece, std::vector<TokenId>& out) const {
  bool unknown = false;  // an unknown token waits to be appended
  for (size_t at = 0; at < piece.size();) {
    const std::string_view character = piece.substr(at, DecodeUtf8(piece.substr(at)).length);
    const bool first = at == 0;
    at += character.size();
    const bool last = at == piece.size();
    const TokenId id = IdOf(character, first, last);
    if (id >= 0) {
      if (unknown) out.push_back(unk_);
      unknown = false;
      out.push_back(id);
    } else if (!AppendBytes(character, first, last, out) && !options_.unk_token.empty()) {
      AWQ_CHECK(unk_ >= 0, kCorrupt, "unk_token \"", options_.unk_token,
                "\" is not in the vocabulary, and \"", character, "\" has no token");
      if (unknown && !options_.fuse_unk) out.push_back(unk_);
      unknown = true;
    }
  }
  if (unknown) out.push_back(unk_);
}

void Bpe::Encode(std::string_view piece, std::vector<TokenId>& out) const {
  if (options_.ignore_merges) {
    const TokenId whole = vocabulary_.Find(piece);
    if (whole >= 0) {
      out.push_back(whole);
      return;
    }
  }
  const size_t from = out.size();
  Symbols(piece, out);
  if (out.size() - from > kScanLimit) {
    MergeLong(out, from);
  } else {
    MergeShort(out, from);
  }
}

void Bpe::MergeShort(std::vector<TokenId>& out, size_t from) const {
  std::array<const Merge*, kScanLimit> merges;  // of symbols i and i + 1
  TokenId* symbols = out.data() + from;
  size_t n = out.size() - from;
  for (size_t i = 0; i + 1 < n; ++i) merges[i] = FindMerge(symbols[i], symbols[i + 1]);
  while (n > 1) {
    size_t best = n;
    for (size_t i = 0; i + 1 < n; ++i) {
      if (merges[i] && (best == n || merges[i]->rank() < merges[best]->rank())) best = i;
    }
    if (best == n) break;
    symbols[best] = merges[best]->result();
    for (size_t i = best + 1; i + 1 < n; ++i) {
      symbols[i] = symbols[i + 1];
      merges[i] = merges[i + 1];
    }
    --n;
    if (best > 0) merges[best - 1] = FindMerge(symbols[best - 1], symbols[best]);
    if (best + 1 < n) merges[best] = FindMerge(symbols[best], symbols[best + 1]);
  }
  out.resize(from + n);
}

void Bpe::MergeLong(std::vector<TokenId>& out, size_t from) const {
  struct Candidate {
    int32_t rank;
    uint32_t left;
    TokenId result;  // what it makes; outdated when the symbols there make something else now
  };
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  AWQ_CHECK(out.size() - from < std::numeric_limits<uint32_t>::max(), kUnsupported,
            "a piece of more than 4 G characters");
  TokenId* symbols = out.data() + from;
  const auto n = static_cast<uint32_t>(out.size() - from);
  std::vector<uint32_t> next(n), previous(n);
  std::vector<Candidate> candidates;
  candidates.reserve(n);
  for (uint32_t i = 0; i < n; ++i) {
    next[i] = i + 1;
    previous[i] = i == 0 ? n : i - 1;
    if (i + 1 == n) break;
    if (const Merge* m = FindMerge(symbols[i], symbols[i + 1])) {
      candidates.push_back({m->rank(), i, m->result()});
    }
  }
  std::priority_queue<Candidate, std::vector<Candidate>, decltype(later)> queue(
      later, std::move(candidates));
  const auto offer = [&](uint32_t left) {
    if (left >= n || next[left] >= n) return;
    if (const Merge* m = FindMerge(symbols[left], symbols[next[left]])) {
      queue.push({m->rank(), left, m->result()});
    }
  };
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    const uint32_t right = symbols[c.left] < 0 ? n : next[c.left];
    if (right >= n) continue;
    const Merge* m = FindMerge(symbols[c.left], symbols[right]);
    if (!m || m->result() != c.result) continue;
    symbols[c.left] = c.result;
    symbols[right] = -1;  // gone
    next[c.left] = next[right];
    if (next[right] < n) previous[next[right]] = c.left;
    offer(previous[c.left]);
    offer(c.left);
  }
  out.erase(std::remove(out.begin() + static_cast<int64_t>(from), out.end(), -1), out.end());
}

}  // namespace awq
