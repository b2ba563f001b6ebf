#include "awq/api/internal/scoring.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace awq {

RowSummary Summarize(std::span<const float> logits) {
  RowSummary out;
  float top = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > top) {
      top = logits[i];
      out.top = static_cast<int64_t>(i);
    }
  }
  double sum = 0;  // a NaN logit makes it NaN
  for (float x : logits) sum += std::exp(static_cast<double>(x) - static_cast<double>(top));
  out.log_sum = static_cast<double>(top) + std::log(sum);
  return out;
}

double KlDivergence(std::span<const float> reference, const RowSummary& of_reference,
                    std::span<const float> model, const RowSummary& of_model) {
  // log p - log q = (x - y) - (log_sum_x - log_sum_y). Summed as it stands: the difference of the
  // two means would cancel.
  const double shift = of_reference.log_sum - of_model.log_sum;
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const auto x = static_cast<double>(reference[i]);
    const double p = std::exp(x - of_reference.log_sum);
    if (p > 0) sum += p * (x - static_cast<double>(model[i]) - shift);
  }
  return std::max(sum, 0.0);
}

double Quantile(std::span<const double> sorted, double q) {
  if (sorted.empty()) return 0;
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(position);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return std::lerp(sorted[low], sorted[high], position - static_cast<double>(low));
}

double Scores::MeanNll() const {
  return std::accumulate(nll_.begin(), nll_.end(), 0.0) / static_cast<double>(nll_.size());
}

std::optional<Divergence> Scores::Summary() const {
  if (kl_.empty()) return std::nullopt;
  std::vector<double> sorted = kl_;
  std::sort(sorted.begin(), sorted.end());
  const auto count = static_cast<double>(sorted.size());
  return Divergence{.mean = std::accumulate(kl_.begin(), kl_.end(), 0.0) / count,
                    .median = Quantile(sorted, 0.5),
                    .p99 = Quantile(sorted, 0.99),
                    .p999 = Quantile(sorted, 0.999),
                    .top1 = static_cast<double>(same_top_) / count};
}

}  // namespace awq
