// WorstTokens: internal to api; the tokens at which two models' distributions differ most.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "awq/api/internal/scoring.h"
#include "awq/api/quality.h"
#include "awq/text/tokenizer.h"

namespace awq {

class WorstTokens {
 public:
  static constexpr size_t kKept = 10;

  // `tokens`: the text.
  WorstTokens(const Tokenizer& tokenizer, std::span<const TokenId> tokens)
      : tokenizer_(tokenizer), tokens_(tokens) {}

  struct Row {
    int64_t position;  // of the token that is predicted
    double divergence;
    std::span<const float> source;  // logits
    const RowSummary& of_source;
    std::span<const float> model;
    const RowSummary& of_model;
  };
  void Offer(const Row& row);
  std::vector<WorstToken> Take() { return std::move(worst_); }

 private:
  // What `id` adds to the text before `position`.
  std::string TextAt(int64_t position, TokenId id) const;

  const Tokenizer& tokenizer_;
  std::span<const TokenId> tokens_;
  std::vector<WorstToken> worst_;  // falling
};

}  // namespace awq
