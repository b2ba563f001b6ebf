#include "awq/text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "awq/base/error.h"
#include "awq/text/hash.h"

namespace awq {

void Vocabulary::Reserve(size_t pieces, size_t bytes) {
  text_.reserve(bytes);
  entries_.reserve(pieces);
  by_id_.reserve(pieces);
  Grow(std::bit_ceil(std::max<size_t>(64, 2 * pieces)));
}

void Vocabulary::Grow(size_t slots) {
  if (slots <= table_.size()) return;
  table_.assign(slots, 0);
  for (size_t entry = 0; entry < entries_.size(); ++entry) {
    const uint64_t hash = HashBytes(Text(entries_[entry]));
    size_t i = hash & (slots - 1);
    while (table_[i] != 0) i = (i + 1) & (slots - 1);
    table_[i] = MakeSlot(entry, hash);
  }
}

size_t Vocabulary::Locate(std::string_view piece, uint64_t hash) const {
  size_t i = hash & (table_.size() - 1);
  while (table_[i] != 0) {
    if (HasHash(table_[i], hash) && Text(entries_[EntryOf(table_[i])]) == piece) break;
    i = (i + 1) & (table_.size() - 1);
  }
  return i;
}

void Vocabulary::Add(std::string_view piece, int64_t id) {
  AWQ_CHECK(id >= 0 && id <= kMaxId, kCorrupt, "expected a token id in [0, ", kMaxId, "], found ",
            id);
  AWQ_CHECK(text_.size() + piece.size() < std::numeric_limits<uint32_t>::max(), kCorrupt,
            "a vocabulary of more than 4 GB");
  Grow(std::bit_ceil(std::max<size_t>(64, 2 * (entries_.size() + 1))));
  const auto index = static_cast<size_t>(id);
  if (index >= by_id_.size()) by_id_.resize(index + 1, -1);
  const uint64_t hash = HashBytes(piece);
  Slot& slot = table_[Locate(piece, hash)];
  if (slot != 0) {
    Entry& e = entries_[EntryOf(slot)];
    int32_t& before = by_id_[static_cast<size_t>(e.id)];
    if (before == static_cast<int32_t>(EntryOf(slot))) before = -1;
    e.id = static_cast<TokenId>(id);
  } else {
    AWQ_CHECK(entries_.size() < kMaxEntries, kCorrupt, "a vocabulary of more than ", kMaxEntries,
              " pieces");
    slot = MakeSlot(entries_.size(), hash);
    entries_.push_back({static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(piece.size()),
                        static_cast<TokenId>(id)});
    text_ += piece;
  }
  by_id_[index] = static_cast<int32_t>(EntryOf(slot));
}

TokenId Vocabulary::Find(std::string_view piece) const {
  if (table_.empty()) return -1;
  const Slot slot = table_[Locate(piece, HashBytes(piece))];
  return slot == 0 ? -1 : entries_[EntryOf(slot)].id;
}

// Memory is asked for some pieces ahead of its use, in the order table, entry, text.
void Vocabulary::FindAll(std::span<const std::string_view> pieces, std::span<TokenId> ids) const {
  if (table_.empty()) {
    std::fill(ids.begin(), ids.end(), -1);
    return;
  }
  std::vector<uint64_t> hashes(pieces.size());
  const auto probable = [&](size_t i) -> const Entry* {
    const Slot slot = table_[hashes[i] & (table_.size() - 1)];
    return slot != 0 && HasHash(slot, hashes[i]) ? &entries_[EntryOf(slot)] : nullptr;
  };
  for (size_t i = 0; i < pieces.size(); ++i) {
    hashes[i] = HashBytes(pieces[i]);
    __builtin_prefetch(&table_[hashes[i] & (table_.size() - 1)]);
  }
  for (size_t i = 0; i < pieces.size(); ++i) __builtin_prefetch(probable(i));
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (const Entry* e = probable(i)) __builtin_prefetch(text_.data() + e->begin);
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Slot slot = table_[Locate(pieces[i], hashes[i])];
    ids[i] = slot == 0 ? -1 : entries_[EntryOf(slot)].id;
  }
}

bool Vocabulary::Has(TokenId id) const {
  return id >= 0 && id < end() && by_id_[static_cast<size_t>(id)] >= 0;
}

std::string_view Vocabulary::Piece(TokenId id) const {
  if (!Has(id)) return {};
  return Text(entries_[static_cast<size_t>(by_id_[static_cast<size_t>(id)])]);
}

}  // namespace awq
