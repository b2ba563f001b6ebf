#include "awq/api/internal/worst_tokens.h"

#include <algorithm>
#include <cmath>

namespace awq {
namespace {

constexpr int64_t kContext = 32;  // tokens shown before it

double Probability(std::span<const float> logits, const RowSummary& summary, int64_t id) {
  return std::exp(static_cast<double>(logits[static_cast<size_t>(id)]) - summary.log_sum);
}

}  // namespace

std::string WorstTokens::TextAt(int64_t position, TokenId id) const {
  // Decoded with what precedes it: some tokenizers drop the space in front of a first token.
  std::vector<TokenId> ids;
  if (position > 0) ids.push_back(tokens_[static_cast<size_t>(position - 1)]);
  const std::string before = tokenizer_.Decode(ids, false);
  ids.push_back(id);
  const std::string both = tokenizer_.Decode(ids, false);
  return both.starts_with(before) ? both.substr(before.size()) : tokenizer_.Decode({id}, false);
}

void WorstTokens::Offer(const Row& row) {
  if (worst_.size() == kKept && row.divergence <= worst_.back().divergence) return;
  const TokenId target = tokens_[static_cast<size_t>(row.position)];
  const int64_t first = std::max<int64_t>(0, row.position - kContext);
  WorstToken w;
  w.position = row.position;
  w.divergence = row.divergence;
  w.before = tokenizer_.Decode({tokens_.begin() + first, tokens_.begin() + row.position}, false);
  w.token = TextAt(row.position, target);
  w.source = {TextAt(row.position, static_cast<TokenId>(row.of_source.top)),
              Probability(row.source, row.of_source, row.of_source.top)};
  w.model = {TextAt(row.position, static_cast<TokenId>(row.of_model.top)),
             Probability(row.model, row.of_model, row.of_model.top)};
  w.source_probability = Probability(row.source, row.of_source, target);
  w.model_probability = Probability(row.model, row.of_model, target);
  const auto at =
      std::upper_bound(worst_.begin(), worst_.end(), w.divergence,
                       [](double d, const WorstToken& other) { return d > other.divergence; });
  worst_.insert(at, std::move(w));
  if (worst_.size() > kKept) worst_.pop_back();
}

}  // namespace awq
