// The steps of rounding against float64 goldens of tools/make_rounding_goldens.py, and what must
// hold of them for any input.
#include "awq/quant/rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "awq/backend/make_backend.h"
#include "awq/base/file.h"
#include "awq/base/json.h"
#include "awq/base/testing.h"
#include "awq/quant/moments.h"
#include "awq/quant/output_metric.h"
#include "awq/quant/search_range.h"

namespace awq {
namespace {

Tensor Matrix(const Json& values, int64_t rows, int64_t columns) {
  Tensor out = MakeTensor(DType::kF32, {rows, columns});
  int64_t i = 0;
  for (const Json& v : values.AsArray()) out.As<float>()[i++] = static_cast<float>(v.AsDouble());
  EXPECT_EQ(i, rows * columns);
  return out;
}

// Σ (a - b)² / Σ b².
double Distance(const Tensor& a, const Tensor& b) {
  double error = 0;
  double power = 0;
  for (int64_t i = 0; i < b.view().NumElements(); ++i) {
    const double x = a.As<const float>()[i];
    const double y = b.As<const float>()[i];
    error += (x - y) * (x - y);
    power += y * y;
  }
  return error / power;
}

class RoundingGoldens : public ::testing::TestWithParam<std::string> {};

TEST_P(RoundingGoldens, EveryStep) {
  const auto backend = MakeBackend(GetParam(), 2);
  ThreadPool pool(2);
  const Json cases =
      Json::Parse(ReadFile(std::filesystem::path(AWQ_TESTDATA) / "rounding.json"), "rounding.json");
  for (const Json& c : cases.AsArray()) {
    const int64_t n = c.Int("n");
    const int64_t k = c.Int("k");
    GridRule rule;
    rule.scheme = {.bits = static_cast<int>(c.Int("bits")), .group = c.Int("group")};
    const int64_t groups = rule.scheme.Groups(k);
    const Hessian hessian = MakeHessian(*backend, Matrix(c.At("gram"), k, k).view(), 0.01);
    Rounding rounding;
    rounding.rule = rule;
    rounding.target = Matrix(c.At("w"), n, k);
    const Tensor drift = MakeTensor(DType::kF32, {n, k});
    backend->MatMul(rounding.target.view(), Matrix(c.At("drift"), k, k).view(), false,
                    drift.view());
    CorrectTarget(*backend, hessian, drift.view(), 0.5, rounding.target.view());
    EXPECT_LT(Distance(rounding.target, Matrix(c.At("target"), n, k)), 1e-9);

    RangeGrids grids =
        SearchRanges(*backend, pool, rule, rounding.target.view(), hessian.gram.view(), false);
    EXPECT_EQ(Distance(grids.scales, Matrix(c.At("scales"), n, groups)), 0);
    EXPECT_EQ(Distance(grids.zeros, Matrix(c.At("zeros"), n, groups)), 0);
    rounding.scales = std::move(grids.scales);
    rounding.zeros = std::move(grids.zeros);
    rounding.steps = MakeTensor(DType::kF32, {n, k});
    RoundWithFeedback(*backend, pool, hessian, rounding);
    EXPECT_EQ(Distance(rounding.steps, Matrix(c.At("rounded"), n, k)), 0);
    DescendCodes(*backend, pool, hessian, rounding);
    EXPECT_EQ(Distance(rounding.steps, Matrix(c.At("descended"), n, k)), 0);
    RefitScales(*backend, pool, hessian, rounding);
    EXPECT_EQ(Distance(rounding.scales, Matrix(c.At("refitted"), n, groups)), 0);

    const Tensor values = Dequantize(ToQuantizedWeight(rounding));
    const Tensor error = RoundingError(pool, rounding);
    for (int64_t i = 0; i < n * k; ++i) {
      EXPECT_FLOAT_EQ(values.As<float>()[i], rounding.target.As<float>()[i] - error.As<float>()[i]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, RoundingGoldens, ::testing::Values("ref", "cpu"),
                         [](const auto& name) { return name.param; });

enum class Inputs { kPlain, kFewTokens, kDeadColumns, kMassiveChannel, kZero, kTiny };

class RoundingProperties : public ::testing::TestWithParam<Inputs> {
 protected:
  // A Gram matrix of `tokens` inputs with the flaw of this case.
  Tensor Gram(Backend& backend, int64_t k) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    const int64_t tokens = GetParam() == Inputs::kFewTokens ? 5 : 300;
    const Tensor x = MakeTensor(DType::kF32, {tokens, k});
    for (int64_t i = 0; i < tokens * k; ++i) {
      const int64_t c = i % k;
      float v = normal(random);
      if (c > 0) v += 0.5f * x.As<float>()[i - 1];
      if (GetParam() == Inputs::kDeadColumns && c % 3 == 0) v = 0;
      if (GetParam() == Inputs::kMassiveChannel && c == 5) v *= 3000;
      if (GetParam() == Inputs::kZero) v = 0;
      if (GetParam() == Inputs::kTiny) v *= 1e-15f;
      x.As<float>()[i] = v;
    }
    Tensor gram = MakeTensor(DType::kF32, {k, k});
    backend.Gram(x.view(), gram.view());
    return gram;
  }
};

TEST_P(RoundingProperties, NoStepRaisesTheError) {
  const auto backend = MakeBackend("cpu", 2);
  ThreadPool pool(2);
  for (const bool symmetric : {false, true}) {
    for (const int64_t group : {int64_t{32}, int64_t{-1}}) {
      constexpr int64_t kRows = 37;
      constexpr int64_t kColumns = 224;
      const Hessian hessian = MakeHessian(*backend, Gram(*backend, kColumns).view(), 0.01);
      Rounding rounding;
      rounding.rule.scheme = {.group = group, .symmetric = symmetric};
      rounding.target = MakeTensor(DType::kF32, {kRows, kColumns});
      std::mt19937 random(11);
      std::student_t_distribution<float> heavy(4);
      for (float& v : rounding.target.Span<float>()) v = 0.02f * heavy(random);
      RangeGrids grids = SearchRanges(*backend, pool, rounding.rule, rounding.target.view(),
                                      hessian.gram.view(), true);
      rounding.scales = std::move(grids.scales);
      rounding.zeros = std::move(grids.zeros);
      rounding.steps = MakeTensor(DType::kF32, {kRows, kColumns});
      const int64_t groups = rounding.rule.scheme.Groups(kColumns);
      for (int64_t i = 0; i < kRows * kColumns; ++i) {
        const int64_t of =
            i / kColumns * groups + i % kColumns / rounding.rule.scheme.GroupSize(kColumns);
        const Grid grid{rounding.scales.As<float>()[of], rounding.zeros.As<float>()[of], 15};
        rounding.steps.As<float>()[i] = NearestStep(grid, rounding.target.As<float>()[i]);
      }
      double last = RoundingLoss(*backend, hessian, rounding);
      ASSERT_TRUE(std::isfinite(last));
      const double nearest = last;
      const auto expect_not_above = [&](const char* step) {
        const double loss = RoundingLoss(*backend, hessian, rounding);
        EXPECT_LE(loss, last * (1 + 1e-5)) << step;
        last = loss;
      };
      // Feedback is greedy: not below rounding to nearest for every row, but over all of them.
      RoundWithFeedback(*backend, pool, hessian, rounding);
      expect_not_above("feedback");
      for (int i = 0; i < 3; ++i) {
        DescendCodes(*backend, pool, hessian, rounding);
        expect_not_above("descent");
        RefitScales(*backend, pool, hessian, rounding);
        expect_not_above("refit");
      }
      if (GetParam() == Inputs::kPlain) {
        EXPECT_LT(last, 0.7 * nearest);
      }
      for (float s : rounding.steps.Span<float>()) ASSERT_TRUE(s >= -15 && s <= 15);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Flaws, RoundingProperties,
                         ::testing::Values(Inputs::kPlain, Inputs::kFewTokens, Inputs::kDeadColumns,
                                           Inputs::kMassiveChannel, Inputs::kZero, Inputs::kTiny));

// Σ g gᵀ of gradients that lie mostly in few directions, as blocks of `width` columns.
Tensor Metric(Backend& backend, int64_t n, int64_t width) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const Tensor g = MakeTensor(DType::kF32, {400, n});
  const Tensor directions = MakeTensor(DType::kF32, {6, n});
  for (float& v : directions.Span<float>()) v = normal(random);
  for (int64_t t = 0; t < 400; ++t) {
    float* row = g.As<float>() + t * n;
    for (int64_t d = 0; d < 6; ++d) {
      const float a = normal(random);
      for (int64_t i = 0; i < n; ++i) row[i] += a * directions.As<float>()[d * n + i];
    }
    for (int64_t i = 0; i < n; ++i) row[i] += 0.5f * normal(random);
  }
  const Tensor sums = MakeMoments(backend, n, width);
  AddMoments(backend, g.view(), g.view(), sums.view());
  return MakeOutputMetric(sums.view(), 0.1);
}

// Random weights in groups of 64 whose ranges have been searched.
Rounding Searched(Backend& backend, ThreadPool& pool, const Hessian& hessian, int64_t rows) {
  Rounding out;
  out.rule.scheme = {.group = 64};
  out.target = MakeTensor(DType::kF32, {rows, hessian.gram.shape()[0]});
  std::mt19937 weights(11);
  std::normal_distribution<float> normal;
  for (float& v : out.target.Span<float>()) v = 0.02f * normal(weights);
  RangeGrids grids =
      SearchRanges(backend, pool, out.rule, out.target.view(), hessian.gram.view(), true);
  out.scales = std::move(grids.scales);
  out.zeros = std::move(grids.zeros);
  out.steps = MakeTensor(DType::kF32, out.target.shape());
  return out;
}

// Rows that answer for one another: every step lowers the loss that the metric weighs, and the end
// is below what steps that ignore the metric reach.
TEST(CoupledRounding, NoStepRaisesTheLoss) {
  const auto backend = MakeBackend("cpu", 2);
  ThreadPool pool(2);
  constexpr int64_t kRows = 150;
  constexpr int64_t kColumns = 320;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  const Tensor x = MakeTensor(DType::kF32, {500, kColumns});
  for (int64_t i = 0; i < x.view().NumElements(); ++i) {
    x.As<float>()[i] = normal(random) + (i % kColumns > 0 ? 0.5f * x.As<float>()[i - 1] : 0);
  }
  const Tensor gram = MakeTensor(DType::kF32, {kColumns, kColumns});
  backend->Gram(x.view(), gram.view());
  const Hessian hessian = MakeHessian(*backend, gram.view(), 0.01);
  for (const int64_t width : {int64_t{150}, int64_t{64}}) {
    double reached[2];
    for (const bool coupled : {false, true}) {
      Rounding rounding = Searched(*backend, pool, hessian, kRows);
      const auto measured = [&] {
        if (coupled) return RoundingLoss(*backend, hessian, rounding);
        rounding.metric = Metric(*backend, kRows, width);
        const double loss = RoundingLoss(*backend, hessian, rounding);
        rounding.metric = {};
        return loss;
      };
      if (coupled) rounding.metric = Metric(*backend, kRows, width);
      RoundBothWays(*backend, pool, hessian, rounding);
      double last = measured();
      for (int i = 0; i < 3; ++i) {
        DescendCodes(*backend, pool, hessian, rounding);
        if (coupled) {
          EXPECT_LE(measured(), last * (1 + 1e-5)) << "descent";
        }
        last = measured();
        RefitScales(*backend, pool, hessian, rounding);
        if (coupled) {
          EXPECT_LE(measured(), last * (1 + 1e-5)) << "refit";
        }
        last = measured();
      }
      reached[coupled ? 1 : 0] = last;
    }
    EXPECT_LT(reached[1], 0.9 * reached[0]) << width;
  }
}

// With M = I, given as blocks, the steps are those without a metric.
TEST(CoupledRounding, IdentityChangesNothing) {
  const auto backend = MakeBackend("ref", 1);
  ThreadPool pool(1);
  constexpr int64_t kRows = 80;
  constexpr int64_t kColumns = 192;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  const Tensor x = MakeTensor(DType::kF32, {300, kColumns});
  for (float& v : x.Span<float>()) v = normal(random);
  const Tensor gram = MakeTensor(DType::kF32, {kColumns, kColumns});
  backend->Gram(x.view(), gram.view());
  const Hessian hessian = MakeHessian(*backend, gram.view(), 0.01);
  Rounding both[2];
  for (Rounding& rounding : both) {
    rounding = Searched(*backend, pool, hessian, kRows);
    if (&rounding == &both[1]) rounding.metric = WeightOnlyMoments(kRows, 1, 48).gram;
    RoundBothWays(*backend, pool, hessian, rounding);
    DescendCodes(*backend, pool, hessian, rounding);
    RefitScales(*backend, pool, hessian, rounding);
    DescendCodes(*backend, pool, hessian, rounding);
  }
  // But for sums in another order, which decide ties.
  EXPECT_LT(Distance(both[1].scales, both[0].scales), 1e-4);
  EXPECT_LT(Distance(both[1].steps, both[0].steps), 1e-3);
  EXPECT_NEAR(RoundingLoss(*backend, hessian, both[1]) / RoundingLoss(*backend, hessian, both[0]),
              1, 1e-3);
}

TEST(OutputMetric, ScaledAndDampedOrNone) {
  const Tensor sums = MakeTensor(DType::kF32, {3, 2});  // blocks of two rows and of one
  const float values[] = {4, 2, 2, 8, 6, 0};
  std::copy(values, values + 6, sums.As<float>());
  const Tensor metric = MakeOutputMetric(sums.view(), 0.5);
  const float expected[] = {4.0f / 6 + 0.5f, 2.0f / 6, 2.0f / 6, 8.0f / 6 + 0.5f, 1.5f, 0};
  for (int i = 0; i < 6; ++i) EXPECT_FLOAT_EQ(metric.As<float>()[i], expected[i]) << i;
  for (float& v : sums.Span<float>()) v = 0;
  EXPECT_TRUE(MakeOutputMetric(sums.view(), 0.5).empty());
  sums.As<float>()[0] = std::nanf("");
  EXPECT_TRUE(MakeOutputMetric(sums.view(), 0.5).empty());
}

TEST(Hessian, ColumnsByRisingDiagonal) {
  const auto backend = MakeBackend("cpu", 1);
  const Tensor gram = MakeTensor(DType::kF32, {3, 3});
  gram.As<float>()[0] = 5;
  gram.As<float>()[4] = 1;
  gram.As<float>()[8] = 3;
  const Hessian hessian = MakeHessian(*backend, gram.view(), 0.5);
  EXPECT_EQ(hessian.order, (std::vector<int32_t>{1, 2, 0}));
  EXPECT_FLOAT_EQ(hessian.gram.As<float>()[0], 6.5f);
  EXPECT_FLOAT_EQ(hessian.factor.As<float>()[0], std::sqrt(2.5f));
}

TEST(Hessian, IndefiniteIsDampedMore) {
  const auto backend = MakeBackend("cpu", 1);
  const Tensor gram = MakeTensor(DType::kF32, {2, 2});
  const float values[] = {1, 1.05f, 1.05f, 1};
  std::copy(values, values + 4, gram.As<float>());
  const Hessian hessian = MakeHessian(*backend, gram.view(), 0.01);
  EXPECT_FLOAT_EQ(hessian.gram.As<float>()[0], 1.1f);
}

TEST(Hessian, NotFiniteIsRefused) {
  const auto backend = MakeBackend("cpu", 1);
  const Tensor gram = MakeTensor(DType::kF32, {2, 2});
  gram.As<float>()[0] = std::nanf("");
  ExpectError(ErrorCode::kInternal, {"Gram matrix", "not finite"},
              [&] { MakeHessian(*backend, gram.view(), 0.01); });
}

}  // namespace
}  // namespace awq
