// Test helper: a tokenizer whose ids are bytes; id 1 is special.
#pragma once

#include "awq/text/tokenizer.h"
#include "awq/text/utf8.h"

namespace awq::testing {

class ByteTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> Encode(std::string_view text, bool special) const override {
    std::vector<TokenId> out;
    if (special) out.push_back(1);
    for (char c : text) out.push_back(static_cast<unsigned char>(c));
    return out;
  }
  std::unique_ptr<TokenStream> StartDecoding(bool skip_special) const override {
    return std::make_unique<Stream>(skip_special);
  }
  int64_t VocabSize() const override { return 256; }
  std::string Piece(TokenId id) const override { return std::string(1, static_cast<char>(id)); }
  std::optional<TokenId> Find(std::string_view piece) const override {
    if (piece.size() != 1) return std::nullopt;
    return static_cast<unsigned char>(piece[0]);
  }
  bool IsSpecial(TokenId id) const override { return id == 1; }

 private:
  class Stream : public TokenStream {
   public:
    explicit Stream(bool skip_special) : skip_special_(skip_special) {}
    std::string Push(TokenId id) override {
      if (skip_special_ && id == 1) return {};
      return bytes_.Push(std::string(1, static_cast<char>(id)));
    }
    std::string Finish() override { return bytes_.Finish(); }

   private:
    bool skip_special_;
    Utf8Assembler bytes_;
  };
};

}  // namespace awq::testing
