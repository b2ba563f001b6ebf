// Internal to api: log likelihoods and divergences of rows of logits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "awq/api/evaluate.h"

namespace awq {

// Of one model at a time.
inline constexpr int64_t kLogitBytes = int64_t{32} << 20;

// log Σ exp(x) in f64, and the largest logit's index (the lowest among equals). NaN or +inf
// anywhere gives a value that is not finite.
struct RowSummary {
  double log_sum = 0;
  int64_t top = 0;
};
RowSummary Summarize(std::span<const float> logits);

// Σ p (log p - log q), p and q the softmax of `reference` and `model`; ≥ 0.
double KlDivergence(std::span<const float> reference, const RowSummary& of_reference,
                    std::span<const float> model, const RowSummary& of_model);

// What is known of one model, row by row.
class Scores {
 public:
  void Add(double log_likelihood) { nll_.push_back(-log_likelihood); }
  void AddDivergence(double kl, bool same_top) {
    kl_.push_back(kl);
    same_top_ += same_top ? 1 : 0;
  }
  int64_t tokens() const { return static_cast<int64_t>(nll_.size()); }
  double MeanNll() const;
  std::optional<Divergence> Summary() const;

 private:
  std::vector<double> nll_;
  std::vector<double> kl_;
  int64_t same_top_ = 0;
};

// Quantile q in [0, 1] of sorted values, linear between neighbours.
double Quantile(std::span<const double> sorted, double q);

}  // namespace awq
