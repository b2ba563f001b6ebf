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
  std::vector<Slot> old(slots);
  old.swap(table_);
  for (const Slot& slot : old) {
    if (slot.entry < 0) continue;
    size_t i = slot.hash & (slots - 1);
    while (table_[i].entry >= 0) i = (i + 1) & (slots - 1);
    table_[i] = slot;
  }
}

size_t Vocabulary::Locate(std::string_view piece, uint32_t hash) const {
  size_t i = hash & (table_.size() - 1);
  while (table_[i].entry >= 0) {
    const Entry& e = entries_[static_cast<size_t>(table_[i].entry)];
    if (table_[i].hash == hash && Text(e) == piece) break;
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
  const auto hash = static_cast<uint32_t>(HashBytes(piece));
  Slot& slot = table_[Locate(piece, hash)];
  if (slot.entry >= 0) {
    Entry& e = entries_[static_cast<size_t>(slot.entry)];
    int32_t& before = by_id_[static_cast<size_t>(e.id)];
    if (before == slot.entry) before = -1;
    e.id = static_cast<TokenId>(id);
  } else {
    slot = {hash, static_cast<int32_t>(entries_.size())};
    entries_.push_back({static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(piece.size()),
                        static_cast<TokenId>(id)});
    text_ += piece;
  }
  by_id_[index] = slot.entry;
}

TokenId Vocabulary::Find(std::string_view piece) const {
  if (table_.empty()) return -1;
  const Slot& slot = table_[Locate(piece, static_cast<uint32_t>(HashBytes(piece)))];
  return slot.entry < 0 ? -1 : entries_[static_cast<size_t>(slot.entry)].id;
}

bool Vocabulary::Has(TokenId id) const {
  return id >= 0 && id < end() && by_id_[static_cast<size_t>(id)] >= 0;
}

std::string_view Vocabulary::Piece(TokenId id) const {
  if (!Has(id)) return {};
  return Text(entries_[static_cast<size_t>(by_id_[static_cast<size_t>(id)])]);
}

}  // namespace awq
