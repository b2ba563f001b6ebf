#include "awq/quant/budget.h"

#include <gtest/gtest.h>

#include <random>

#include "awq/base/error.h"

namespace awq {
namespace {

std::vector<BudgetSet> RandomSets(int count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0.1, 1);
  std::vector<BudgetSet> sets;
  for (int i = 0; i < count; ++i) {
    BudgetSet set;
    set.parameters = 1 + static_cast<int64_t>(random() % 7);
    double loss = uniform(random);
    for (const QuantScheme& s : {QuantScheme{4, 128, false},
                                 {4, 64, false},
                                 {4, 32, false},
                                 {8, 128, false},
                                 {16, -1, false}}) {
      set.choices.push_back({s, BitsPerWeight(s, 1024), s.bits == 16 ? 0 : loss});
      loss *= uniform(random) + (uniform(random) < 0.3 ? 0.3 : 0);  // at times not better
    }
    sets.push_back(set);
  }
  return sets;
}

TEST(Budget, Bits) {
  EXPECT_DOUBLE_EQ(BitsPerWeight({4, 128, false}, 4096), 4.15625);
  EXPECT_DOUBLE_EQ(BitsPerWeight({4, 128, true}, 4096), 4.125);
  EXPECT_DOUBLE_EQ(BitsPerWeight({8, 128, false}, 4096), 8.1875);
  EXPECT_DOUBLE_EQ(BitsPerWeight({4, -1, true}, 1600), 4.01);
  EXPECT_EQ(BitsPerWeight({16, -1, false}, 4096), 16);
}

// Against all combinations: none lies below the curve.
TEST(Budget, TheCurveIsTheLowerHull) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto sets = RandomSets(4, seed);
    const auto curve = TradeOff(sets);
    double total = 0;
    for (const BudgetSet& s : sets) total += static_cast<double>(s.parameters);
    for (size_t i = 1; i < curve.size(); ++i) {
      EXPECT_GT(curve[i].bits, curve[i - 1].bits);
      EXPECT_LT(curve[i].divergence, curve[i - 1].divergence);
    }
    for (int code = 0; code < 5 * 5 * 5 * 5; ++code) {
      double bits = 0;
      double divergence = 0;
      int rest = code;
      for (const BudgetSet& s : sets) {
        const auto& choice = s.choices[static_cast<size_t>(rest % 5)];
        bits += static_cast<double>(s.parameters) / total * choice.bits;
        divergence += choice.divergence;
        rest /= 5;
      }
      ASSERT_GE(bits, curve.front().bits - 1e-9);
      double below = curve.back().divergence;  // the hull at these bits
      for (size_t i = 1; i < curve.size(); ++i) {
        if (bits > curve[i].bits) continue;
        const double t = (bits - curve[i - 1].bits) / (curve[i].bits - curve[i - 1].bits);
        below = std::lerp(curve[i - 1].divergence, curve[i].divergence, t);
        break;
      }
      EXPECT_GE(divergence, below - 1e-9) << "seed " << seed << ", combination " << code;
    }
    // A point is what its choices add up to.
    const BudgetPoint& p = curve[curve.size() / 2];
    double divergence = 0;
    for (size_t s = 0; s < sets.size(); ++s) divergence += sets[s].choices[p.choice[s]].divergence;
    EXPECT_NEAR(p.divergence, divergence, 1e-9);
  }
}

TEST(Budget, Picks) {
  const auto curve = TradeOff(RandomSets(12, 1));
  const BudgetPoint& p = PointOfBits(curve, 5);
  EXPECT_LE(p.bits, 5);
  EXPECT_EQ(PointOfBits(curve, 16).bits, curve.back().bits);
  const BudgetPoint& q = PointOfDivergence(curve, p.divergence);
  EXPECT_EQ(q.bits, p.bits);
  EXPECT_THROW(PointOfBits(curve, 4), Error);
  EXPECT_THROW(PointOfDivergence(curve, -1), Error);
}

}  // namespace
}  // namespace awq
