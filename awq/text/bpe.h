// Bpe: byte-pair encoding over bytes (arXiv:1508.07909, as GPT-2 applies it).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "awq/text/tokenizer.h"

namespace awq {

class Bpe {
 public:
  // Room for so many tokens and merges.
  void Reserve(size_t tokens, size_t merges);
  // A token by the bytes it stands for; the later of two with the same bytes wins.
  void AddToken(std::string bytes, TokenId id);
  // The next merge in order of priority. Throws kCorrupt when one of the three is no token.
  void AddMerge(std::string_view left, std::string_view right);
  // A piece that is a token as a whole is not merged up to it.
  void set_ignore_merges(bool ignore) { ignore_merges_ = ignore; }

  // Appends the ids of a piece. Bytes without a token are left out, as the reference does.
  void Encode(std::string_view piece, std::vector<TokenId>& out) const;
  TokenId Find(std::string_view bytes) const;  // -1 when there is none

 private:
  struct Merge {
    uint64_t pair = kNone;
    int32_t rank = 0;
    TokenId result = 0;
  };
  static constexpr uint64_t kNone = ~uint64_t{0};

  const Merge* FindMerge(TokenId left, TokenId right) const;
  void InsertMerge(const Merge& merge);
  void EncodeShort(std::vector<TokenId>& symbols) const;
  void EncodeLong(std::vector<TokenId>& symbols) const;

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
  std::array<TokenId, 256> byte_ids_ = [] {
    std::array<TokenId, 256> none{};
    none.fill(-1);
    return none;
  }();
  std::vector<Merge> table_;  // open addressing, a power of two, at most half full
  size_t merges_ = 0;
  bool ignore_merges_ = false;
};

}  // namespace awq
