// Unigram: the most probable way to write a piece as tokens (arXiv:1804.10959), by Viterbi's
// algorithm.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "awq/text/byte_trie.h"
#include "awq/text/model.h"

namespace awq {

struct UnigramOptions {
  std::optional<TokenId> unk_id;  // for runs of characters without a token
  bool byte_fallback = false;     // "<0xE4>" … for their bytes instead
  // The following is for SentencePiece's own models.
  std::vector<bool> usable;            // by id; empty: all
  std::optional<double> unk_score;     // the least score - 10
  bool unknown_runs_as_tokens = true;  // a run that happens to be a token is that token
  bool single_precision = false;       // scores of paths are kept as floats
};

class Unigram : public Model {
 public:
  // Pieces by id with their log probabilities. Throws kCorrupt when a score is no number or
  // unk_id no token.
  Unigram(UnigramOptions options, Vocabulary vocabulary, std::vector<double> scores);

  void Encode(std::string_view piece, std::vector<TokenId>& out) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Token {
    size_t begin, end;
    TokenId id;
  };

  template <typename Real>
  std::vector<Token> BestPath(std::string_view piece) const;
  void Append(std::string_view token, TokenId id, std::vector<TokenId>& out) const;

  UnigramOptions options_;
  Vocabulary vocabulary_;
  std::vector<double> scores_;
  std::vector<TokenId> byte_ids_;  // empty without byte fallback
  double unk_score_ = 0;
  ByteTrie trie_;
};

}  // namespace awq
