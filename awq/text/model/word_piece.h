// WordPiece: the longest token that a piece begins with, again and again (arXiv:1609.08144).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "awq/text/byte_trie.h"
#include "awq/text/model.h"

namespace awq {

struct WordPieceOptions {
  std::string unk_token = "[UNK]";  // for a piece that cannot be written as tokens
  std::string continuing_subword_prefix = "##";
  size_t max_input_chars_per_word = 100;  // longer pieces are unknown
};

class WordPiece : public Model {
 public:
  WordPiece(WordPieceOptions options, Vocabulary vocabulary);

  void Encode(std::string_view piece, std::vector<TokenId>& out) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  WordPieceOptions options_;
  Vocabulary vocabulary_;
  TokenId unk_;
  ByteTrie trie_;
  int32_t continuing_;  // the node after the prefix
};

}  // namespace awq
