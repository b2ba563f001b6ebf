// Test helper: a tokenizer whose ids are bytes; id 1 is special.
#pragma once

#include "awq/text/tokenizer.h"

namespace awq::testing {

class ByteTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> Encode(std::string_view text, bool special) const override {
    std::vector<TokenId> out;
    if (special) out.push_back(1);
    for (char c : text) out.push_back(static_cast<unsigned char>(c));
    return out;
  }
  std::string DecodeBytes(const std::vector<TokenId>& ids, bool skip_special) const override {
    std::string out;
    for (TokenId id : ids) {
      if (!(skip_special && id == 1)) out += static_cast<char>(id);
    }
    return out;
  }
  int64_t VocabSize() const override { return 256; }
  std::string Piece(TokenId id) const override { return std::string(1, static_cast<char>(id)); }
  std::optional<TokenId> Find(std::string_view piece) const override {
    if (piece.size() != 1) return std::nullopt;
    return static_cast<unsigned char>(piece[0]);
  }
  bool IsSpecial(TokenId id) const override { return id == 1; }
};

}  // namespace awq::testing
