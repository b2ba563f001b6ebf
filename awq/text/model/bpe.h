// Bpe: byte-pair encoding (arXiv:1508.07909) over the characters of a piece.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "awq/text/model.h"

namespace awq {

struct BpeOptions {
  std::string unk_token;  // for characters without a token; empty: they are left out
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
  bool fuse_unk = false;       // one unknown token for a run of unknown characters
  bool byte_fallback = false;  // "<0xE4>" for the bytes of a character without a token
  bool ignore_merges = false;  // a piece that is a token as a whole is not merged up to it
};

class Bpe : public Model {
 public:
  Bpe(BpeOptions options, Vocabulary vocabulary);

  // Room for so many merges.
  void Reserve(size_t merges);
  struct Parts {
    std::string_view left, right;
  };
  // Merges in order of priority. Gives how many were added: the next one is of, or makes, something
  // that is no token when these are not all.
  size_t AddMerges(std::span<const Parts> merges);
  // One with a rank of its own; of equal ranks the leftmost goes first.
  void AddMerge(TokenId left, TokenId right, int32_t rank, TokenId result);
  // Finds out where pieces can be cut; after the last merge.
  void Finish();

  void Encode(std::string_view piece, std::vector<TokenId>& out) const override;
  void Cut(std::string_view piece,
           const std::function<void(std::string_view)>& part) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  // Three ids of 22 bits and a rank of 30.
  class Merge {
   public:
    static constexpr int32_t kMaxRank = (1 << 30) - 2;

    Merge() = default;  // none
    Merge(TokenId left, TokenId right, int32_t rank, TokenId result);
    bool exists() const { return third_ != ~uint32_t{0}; }
    bool Joins(TokenId left, TokenId right) const {
      return (first_ & kIdBits) == static_cast<uint32_t>(left) &&
             (second_ & kIdBits) == static_cast<uint32_t>(right) && exists();
    }
    TokenId left() const { return static_cast<TokenId>(first_ & kIdBits); }
    TokenId right() const { return static_cast<TokenId>(second_ & kIdBits); }
    int32_t rank() const { return static_cast<int32_t>(third_ & ((1u << 30) - 1)); }
    TokenId result() const {
      return static_cast<TokenId>(first_ >> 22 | second_ >> 22 << 10 | third_ >> 30 << 20);
    }

   private:
    static constexpr uint32_t kIdBits = (1u << 22) - 1;
    uint32_t first_ = 0, second_ = 0, third_ = ~uint32_t{0};  // what is left takes the result
  };

  TokenId IdOf(std::string_view character, bool first, bool last) const;
  bool AppendBytes(std::string_view character, bool first, bool last,
                   std::vector<TokenId>& out) const;
  void Symbols(std::string_view piece, std::vector<TokenId>& out) const;
  const Merge* FindMerge(TokenId left, TokenId right) const;
  size_t FirstPlace(TokenId left, TokenId right) const;
  size_t NextPlace(size_t i) const { return i + 1 == table_.size() ? 0 : i + 1; }
  void InsertMerge(const Merge& merge);
  // Merge the symbols of `out` from an index on.
  void MergeShort(std::vector<TokenId>& out, size_t from) const;
  void MergeLong(std::vector<TokenId>& out, size_t from) const;

  BpeOptions options_;
  Vocabulary vocabulary_;
  std::array<TokenId, 0x180> character_ids_{};  // of single characters
  std::vector<TokenId> byte_ids_;               // of "<0x00>" …; empty without byte fallback
  TokenId unk_ = -1;
  std::vector<Merge> table_;  // open addressing, at most two thirds full
  size_t merges_ = 0;
  // Characters that some token has in front of a metaspace; nothing when pieces cannot be cut.
  std::unordered_set<char32_t> before_space_;
  bool cuts_ = false;
};

}  // namespace awq
