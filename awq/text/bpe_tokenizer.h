// BpeTokenizer: a byte-level BPE tokenizer put together from the components of tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "awq/text/added_tokens.h"
#include "awq/text/bpe.h"
#include "awq/text/normalizer.h"
#include "awq/text/pretokenize.h"
#include "awq/text/tokenizer.h"

namespace awq {

// What tokenizer.json says, component by component.
struct BpeTokenizerParts {
  std::vector<NormalForm> normalizers;
  std::vector<std::unique_ptr<const PreTokenizer>> pre_tokenizers;
  Bpe bpe;
  std::vector<std::string> pieces;  // by id, as written in the vocabulary
  std::vector<AddedToken> added;
  std::vector<TokenId> prefix, suffix;  // what the post-processor puts around a text
};

class BpeTokenizer : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeTokenizerParts parts);

  std::vector<TokenId> Encode(std::string_view text, bool special) const override;
  std::string DecodeBytes(const std::vector<TokenId>& ids, bool skip_special) const override;
  int64_t VocabSize() const override { return static_cast<int64_t>(parts_.pieces.size()); }
  std::string Piece(TokenId id) const override;
  std::optional<TokenId> Find(std::string_view piece) const override;
  bool IsSpecial(TokenId id) const override;

 private:
  class Pieces;
  void EncodeText(std::string_view text, Pieces& pieces, std::vector<TokenId>& out) const;

  BpeTokenizerParts parts_;
  AddedTokenMatcher raw_;                              // tokens looked for in the text as it is
  AddedTokenMatcher normalized_;                       // and in the normalized text
  std::vector<std::string> bytes_;                     // by id, what the piece stands for
  std::vector<bool> special_;                          // by id
  std::unordered_map<std::string_view, TokenId> ids_;  // views into parts_.pieces
};

}  // namespace awq
