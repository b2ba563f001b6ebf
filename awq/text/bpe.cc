#include "awq/text/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "awq/base/error.h"

namespace awq {
namespace {

uint64_t PairOf(TokenId left, TokenId right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

size_t HashOf(uint64_t pair) {
  pair ^= pair >> 31;
  pair *= 0x9e3779b97f4a7c15ull;
  return static_cast<size_t>(pair ^ (pair >> 29));
}

// Beyond this many symbols a queue beats scanning for the best pair again and again.
constexpr size_t kScanLimit = 48;

}  // namespace

void Bpe::Reserve(size_t tokens, size_t merges) {
  ids_.reserve(tokens);
  table_.assign(std::bit_ceil(std::max<size_t>(64, 2 * merges + 2)), Merge());
}

void Bpe::AddToken(std::string bytes, TokenId id) {
  if (bytes.size() == 1) byte_ids_[static_cast<unsigned char>(bytes[0])] = id;
  ids_.insert_or_assign(std::move(bytes), id);
}

TokenId Bpe::Find(std::string_view bytes) const {
  const auto it = ids_.find(bytes);
  return it == ids_.end() ? -1 : it->second;
}

void Bpe::AddMerge(std::string_view left, std::string_view right) {
  const TokenId a = Find(left);
  const TokenId b = Find(right);
  std::string joined;
  joined.reserve(left.size() + right.size());
  joined.append(left).append(right);
  const TokenId result = Find(joined);
  AWQ_CHECK(a >= 0 && b >= 0 && result >= 0, kCorrupt, "merge ", merges_,
            " joins or makes something that is not in the vocabulary");
  if (2 * (merges_ + 1) > table_.size()) {
    std::vector<Merge> old = std::move(table_);
    table_.assign(std::max<size_t>(64, 2 * old.size()), Merge());
    for (const Merge& m : old) {
      if (m.pair != kNone) InsertMerge(m);
    }
  }
  InsertMerge({PairOf(a, b), static_cast<int32_t>(merges_++), result});
}

void Bpe::InsertMerge(const Merge& merge) {
  size_t i = HashOf(merge.pair) & (table_.size() - 1);
  while (table_[i].pair != kNone && table_[i].pair != merge.pair) i = (i + 1) & (table_.size() - 1);
  table_[i] = merge;
}

const Bpe::Merge* Bpe::FindMerge(TokenId left, TokenId right) const {
  if (table_.empty()) return nullptr;
  const uint64_t pair = PairOf(left, right);
  size_t i = HashOf(pair) & (table_.size() - 1);
  while (table_[i].pair != kNone) {
    if (table_[i].pair == pair) return &table_[i];
    i = (i + 1) & (table_.size() - 1);
  }
  return nullptr;
}

void Bpe::Encode(std::string_view piece, std::vector<TokenId>& out) const {
  if (ignore_merges_) {
    const TokenId whole = Find(piece);
    if (whole >= 0) {
      out.push_back(whole);
      return;
    }
  }
  std::vector<TokenId> symbols;
  symbols.reserve(piece.size());
  for (char c : piece) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) symbols.push_back(id);
  }
  if (symbols.size() > kScanLimit) {
    EncodeLong(symbols);
  } else {
    EncodeShort(symbols);
  }
  out.insert(out.end(), symbols.begin(), symbols.end());
}

void Bpe::EncodeShort(std::vector<TokenId>& symbols) const {
  std::array<const Merge*, kScanLimit> merges{};  // of symbols i and i + 1
  size_t n = symbols.size();
  for (size_t i = 0; i + 1 < n; ++i) merges[i] = FindMerge(symbols[i], symbols[i + 1]);
  while (n > 1) {
    size_t best = n;
    for (size_t i = 0; i + 1 < n; ++i) {
      if (merges[i] && (best == n || merges[i]->rank < merges[best]->rank)) best = i;
    }
    if (best == n) break;
    symbols[best] = merges[best]->result;
    for (size_t i = best + 1; i + 1 < n; ++i) {
      symbols[i] = symbols[i + 1];
      merges[i] = merges[i + 1];
    }
    --n;
    merges[n - 1] = nullptr;
    if (best > 0) merges[best - 1] = FindMerge(symbols[best - 1], symbols[best]);
    if (best + 1 < n) merges[best] = FindMerge(symbols[best], symbols[best + 1]);
  }
  symbols.resize(n);
}

void Bpe::EncodeLong(std::vector<TokenId>& symbols) const {
  struct Candidate {
    int32_t rank;
    size_t left;
    uint64_t pair;  // what it joins; outdated when the symbols have changed meanwhile
    TokenId result;
  };
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  std::priority_queue<Candidate, std::vector<Candidate>, decltype(later)> queue(later);
  const size_t n = symbols.size();
  std::vector<size_t> next(n), previous(n);
  for (size_t i = 0; i < n; ++i) {
    next[i] = i + 1;
    previous[i] = i == 0 ? n : i - 1;
  }
  const auto offer = [&](size_t left) {
    if (left >= n || next[left] >= n) return;
    if (const Merge* m = FindMerge(symbols[left], symbols[next[left]])) {
      queue.push({m->rank, left, m->pair, m->result});
    }
  };
  for (size_t i = 0; i + 1 < n; ++i) offer(i);
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    const size_t right = symbols[c.left] < 0 ? n : next[c.left];
    if (right >= n || PairOf(symbols[c.left], symbols[right]) != c.pair) continue;
    symbols[c.left] = c.result;
    symbols[right] = -1;  // gone
    next[c.left] = next[right];
    if (next[right] < n) previous[next[right]] = c.left;
    offer(previous[c.left]);
    offer(c.left);
  }
  std::erase(symbols, -1);
}

}  // namespace awq
