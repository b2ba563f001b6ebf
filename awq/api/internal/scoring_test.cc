// Scoring: sums, divergences and quantiles against values worked out by hand.
#include "awq/api/internal/scoring.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace awq {
namespace {

std::vector<float> Logs(const std::vector<double>& p, double shift) {
  std::vector<float> out;
  for (double x : p) out.push_back(static_cast<float>(std::log(x) + shift));
  return out;
}

double Kl(const std::vector<float>& p, const std::vector<float>& q) {
  return KlDivergence(p, Summarize(p), q, Summarize(q));
}

TEST(Scoring, SummaryIsLogSumExp) {
  const RowSummary s = Summarize(Logs({0.2, 0.5, 0.3}, 7));
  EXPECT_NEAR(s.log_sum, 7, 1e-6);
  EXPECT_EQ(s.top, 1);
  EXPECT_EQ(Summarize(std::vector<float>{1, 3, 3}).top, 1);
  // Far beyond what exp() can hold.
  EXPECT_NEAR(Summarize(std::vector<float>{2e4f, 2e4f}).log_sum, 2e4 + std::log(2), 1e-9);
  EXPECT_FALSE(std::isfinite(Summarize(std::vector<float>{0, std::nanf(""), 1}).log_sum));
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(Summarize(std::vector<float>{0, inf}).log_sum));
  EXPECT_FALSE(std::isfinite(Summarize(std::vector<float>{-inf, -inf}).log_sum));
}

TEST(Scoring, DivergenceIsOfTheReferenceFromTheModel) {
  // 0.5 ln(0.5/0.25) + 0.25 ln(0.25/0.25) + 0.25 ln(0.25/0.5)
  EXPECT_NEAR(Kl(Logs({0.5, 0.25, 0.25}, 3), Logs({0.25, 0.25, 0.5}, -2)), 0.25 * std::log(2),
              1e-6);
  // Not symmetric: 0.9 ln 9 + 0.1 ln(1/9) would be; this is not.
  EXPECT_NEAR(Kl(Logs({0.9, 0.1}, 0), Logs({0.5, 0.5}, 0)),
              0.9 * std::log(1.8) + 0.1 * std::log(0.2), 1e-6);
  EXPECT_NEAR(Kl(Logs({0.5, 0.5}, 0), Logs({0.9, 0.1}, 0)),
              0.5 * std::log(0.5 / 0.9) + 0.5 * std::log(5), 1e-6);
  EXPECT_EQ(Kl(Logs({0.3, 0.7}, 1), Logs({0.3, 0.7}, 1)), 0);
}

TEST(Scoring, TinyDivergencesKeepTheirDigits) {
  // For small differences e: KL = Var_p(e) / 2.
  std::mt19937 random(1);
  std::vector<float> p(16384);
  for (float& x : p) x = static_cast<float>(random() % 10000) * 1e-3f;
  std::vector<float> q = p;
  const double lse = Summarize(p).log_sum;
  double mean = 0;
  double square = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    q[i] += (i % 2 == 0 ? 1.0f : -1.0f) * 1e-3f;
    const double e = static_cast<double>(q[i]) - static_cast<double>(p[i]);
    const double w = std::exp(static_cast<double>(p[i]) - lse);
    mean += w * e;
    square += w * e * e;
  }
  const double expected = (square - mean * mean) / 2;
  EXPECT_NEAR(Kl(p, q) / expected, 1, 1e-3);
}

TEST(Scoring, QuantilesAreLinearBetweenNeighbours) {
  const std::vector<double> v = {0, 10, 20, 40};
  EXPECT_DOUBLE_EQ(Quantile(v, 0), 0);
  EXPECT_DOUBLE_EQ(Quantile(v, 0.5), 15);
  EXPECT_DOUBLE_EQ(Quantile(v, 0.99), 20 + 0.97 * 20);
  EXPECT_DOUBLE_EQ(Quantile(v, 1), 40);
  EXPECT_DOUBLE_EQ(Quantile(std::vector<double>{3}, 0.999), 3);
}

TEST(Scoring, ScoresAreSummedUp) {
  Scores scores;
  EXPECT_FALSE(scores.Summary().has_value());
  for (int i = 1; i <= 4; ++i) {
    scores.Add(-i);
    scores.AddDivergence(0.1 * (5 - i), i != 2);
  }
  EXPECT_EQ(scores.tokens(), 4);
  EXPECT_DOUBLE_EQ(scores.MeanNll(), 2.5);
  const Divergence d = scores.Summary().value();
  EXPECT_DOUBLE_EQ(d.mean, 0.25);
  EXPECT_DOUBLE_EQ(d.median, 0.25);
  EXPECT_DOUBLE_EQ(d.top1, 0.75);
}

}  // namespace
}  // namespace awq
