// Vocabulary: pieces ↔ ids, in little memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace awq {

using TokenId = int32_t;

class Vocabulary {
 public:
  // Ids beyond this are taken for a damaged file.
  static constexpr TokenId kMaxId = (1 << 22) - 1;

  // Room for so many pieces of so many bytes in all.
  void Reserve(size_t pieces, size_t bytes);
  // Of two entries with the same piece or the same id the later wins. Throws kCorrupt for an id
  // outside [0, kMaxId].
  void Add(std::string_view piece, int64_t id);
  TokenId Find(std::string_view piece) const;  // -1 when there is none
  // The same for many at once, several times as fast where the vocabulary is larger than caches.
  void FindAll(std::span<const std::string_view> pieces, std::span<TokenId> ids) const;
  std::string_view Piece(TokenId id) const;  // empty when there is none
  bool Has(TokenId id) const;
  // One more than the largest id.
  TokenId end() const { return static_cast<TokenId>(by_id_.size()); }
  // Calls each(piece, id) in the order of addition.
  template <typename F>
  void Each(const F& each) const {
    for (const Entry& e : entries_) each(Text(e), e.id);
  }
  // Distinct pieces.
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    uint32_t begin, size;  // in text_
    TokenId id;
  };
  // An entry and some bits of its hash, in 32 bits; 0 is none.
  using Slot = uint32_t;
  static constexpr size_t kMaxEntries = (1 << 22) - 1;
  static Slot MakeSlot(size_t entry, uint64_t hash) {
    return static_cast<Slot>(entry + 1) | static_cast<Slot>(hash >> 54 << 22);
  }
  static bool HasHash(Slot slot, uint64_t hash) { return slot >> 22 == hash >> 54; }
  static size_t EntryOf(Slot slot) { return (slot & kMaxEntries) - 1; }
  std::string_view Text(const Entry& e) const {
    return std::string_view(text_).substr(e.begin, e.size);
  }
  size_t Locate(std::string_view piece, uint64_t hash) const;
  void Grow(size_t slots);

  std::string text_;
  std::vector<Entry> entries_;
  std::vector<int32_t> by_id_;  // entry, or -1
  std::vector<Slot> table_;     // open addressing, a power of two, at most half full
};

}  // namespace awq
