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
