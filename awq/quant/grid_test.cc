// The quantizer against figures that AutoAWQ's own code printed, and its edge cases.
#include "awq/quant/grid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace awq {
namespace {

struct Rounded {
  uint16_t scale_bits;
  int zero;
  std::vector<int> codes;
};

Rounded Round(const std::vector<float>& w, const GridRule& rule) {
  ThreadPool pool(1);
  std::vector<float> copy = w;
  const TensorView view(copy.data(), DType::kF32, {1, static_cast<int64_t>(w.size())});
  const QuantizedWeight q = QuantizeToNearest(rule, pool, view);
  Rounded out{q.scales.As<uint16_t>()[0], q.Zero(0, 0), {}};
  for (int64_t i = 0; i < q.k(); ++i) out.codes.push_back(q.Code(0, i));
  return out;
}

GridRule AutoAwq(bool symmetric) {
  return {.scheme = {.bits = 4, .group = 8, .symmetric = symmetric},
          .include_zero = false,
          .symmetric_span = 7.0f,
          .f16_arithmetic = true};
}

// Values measured by running AutoAWQ 0.2.9 in f16.
TEST(AutoAwqGrid, MixedSigns) {
  const std::vector<float> w = {-.3f, -.2f, -.1f, 0, .1f, .25f, .4f, .6f};
  const Rounded asym = Round(w, AutoAwq(false));
  EXPECT_EQ(asym.scale_bits, 0x2baf);
  EXPECT_EQ(asym.zero, 5);
  EXPECT_EQ(asym.codes, (std::vector<int>{0, 2, 3, 5, 7, 9, 12, 15}));
  const Rounded sym = Round(w, AutoAwq(true));
  EXPECT_EQ(sym.scale_bits, 0x2d7d);
  EXPECT_EQ(sym.codes, (std::vector<int>{5, 6, 7, 8, 9, 11, 13, 15}));
}

TEST(AutoAwqGrid, OneSidedGroupsCollapse) {
  const Rounded high = Round({.5f, .6f, .7f, .75f, .8f, .9f, .95f, 1.f}, AutoAwq(false));
  EXPECT_EQ(high.scale_bits, 0x2844);
  EXPECT_EQ(high.zero, 0);
  EXPECT_EQ(high.codes, std::vector<int>(8, 15));
  const Rounded small = Round({.01f, .02f, .03f, .04f, .05f, .06f, .07f, .08f}, AutoAwq(false));
  EXPECT_EQ(small.scale_bits, 0x1cc7);
  EXPECT_EQ(small.codes, (std::vector<int>{2, 4, 6, 9, 11, 13, 15, 15}));
}

TEST(AutoAwqGrid, DeadGroupsGetTheFloor) {
  const Rounded constant = Round(std::vector<float>(8, .25f), AutoAwq(false));
  EXPECT_EQ(constant.scale_bits, 0x000b);
  EXPECT_EQ(constant.codes, std::vector<int>(8, 15));
  const Rounded zero = Round(std::vector<float>(8, 0.f), AutoAwq(false));
  EXPECT_EQ(zero.scale_bits, 0x000b);
  EXPECT_EQ(zero.codes, std::vector<int>(8, 0));
}

TEST(Grid, RangeIncludesZero) {
  const GridRule rule{.scheme = {.bits = 4, .group = 8, .symmetric = false}};
  const std::vector<float> w = {.5f, .6f, .7f, .75f, .8f, .9f, .95f, 1.f};
  const Rounded r = Round(w, rule);
  EXPECT_EQ(r.zero, 0);
  EXPECT_EQ(r.codes.back(), 15);
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_NEAR(static_cast<float>(r.codes[i]) * F16ToFloat(r.scale_bits), w[i], .034f);
  }
}

TEST(Grid, ZerosStayZero) {
  for (const bool symmetric : {false, true}) {
    const GridRule rule{.scheme = {.bits = 4, .group = 8, .symmetric = symmetric}};
    const Rounded r = Round(std::vector<float>(8, 0.f), rule);
    for (int code : r.codes) EXPECT_EQ(code, r.zero);
  }
}

// The stored weight is what the search measured, for every scheme.
TEST(Grid, ErrorEqualsStoredWeight) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  ThreadPool pool(2);
  for (const bool symmetric : {false, true}) {
    for (const int64_t group : {32, 64, 128, -1}) {
      for (const DType type : {DType::kF16, DType::kBF16}) {
        const GridRule rule{.scheme = {.bits = 4, .group = group, .symmetric = symmetric},
                            .scale_type = type};
        Tensor w = MakeTensor(DType::kF32, {24, 256});
        for (float& v : w.Span<float>()) v = normal(random);
        Tensor delta = MakeTensor(DType::kF32, {24, 256});
        QuantizationError(rule, pool, w.view(), {}, delta.view());
        const Tensor stored = Dequantize(QuantizeToNearest(rule, pool, w.view()));
        for (int64_t i = 0; i < 24 * 256; ++i) {
          ASSERT_NEAR(stored.As<float>()[i], w.As<float>()[i] + delta.As<float>()[i], 1e-6f);
        }
      }
    }
  }
}

TEST(Grid, EveryValueWithinHalfAStep) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.3f);
  const GridRule rule{.scheme = {.bits = 4, .group = 64, .symmetric = false}};
  for (int round = 0; round < 200; ++round) {
    std::vector<float> w(64);
    for (float& v : w) v = normal(random);
    const auto [lo, hi] = std::minmax_element(w.begin(), w.end());
    const Grid grid = FitGrid(rule, *lo, *hi);
    std::vector<float> out(64);
    RoundToGrid(grid, w.data(), out.data(), 64);
    // One more step at the ends: the zero point is rounded to an integer.
    for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(out[i], w[i], grid.scale * 1.01f);
  }
}

}  // namespace
}  // namespace awq
