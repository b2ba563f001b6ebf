// The searches against a worked example that AutoAWQ's and llm-compressor's own code printed.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "awq/backend/make_backend.h"
#include "awq/quant/search_clip.h"
#include "awq/quant/search_scale.h"

namespace awq {
namespace {

constexpr int64_t kIn = 8;
constexpr int64_t kTokens = 6;

float WeightAt(int64_t o, int64_t i) {
  return static_cast<float>((7 * o + 13 * i + 3 * o * i) % 23 - 11) / 16.0f;
}

Tensor Inputs() {
  Tensor x = MakeTensor(DType::kF32, {kTokens, kIn});
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t i = 0; i < kIn; ++i) {
      const float v = static_cast<float>((5 * t + 11 * i + t * i) % 19 - 9) / 8.0f;
      x.As<float>()[t * kIn + i] = i == 3 ? 8 * v : v;
    }
  }
  return x;
}

class WorkedExample : public ::testing::Test {
 protected:
  WorkedExample() {
    Tensor w = MakeTensor(DType::kF32, {4, kIn});
    for (int64_t o = 0; o < 4; ++o) {
      for (int64_t i = 0; i < kIn; ++i) w.As<float>()[o * kIn + i] = WeightAt(o, i);
    }
    layer_.linears[Role::kUp].weight = std::move(w);
    MomentsTap tap(*backend_);
    tap.OnInput(Role::kGate, 0, Inputs().view());
    moments_ = std::move(tap.Finish().at(Role::kGate));
  }

  double Loss(const GridRule& rule, std::span<const float> s) {
    const TensorView& w = DenseWeight(layer_, Role::kUp);
    const Tensor delta = MakeTensor(DType::kF32, w.shape);
    QuantizationError(rule, pool_, w, s, delta.view());
    return GramLoss(*backend_, delta.view(), moments_.gram.view()) / (kTokens * 4);
  }

  std::unique_ptr<Backend> backend_ = MakeBackend("ref", 1);
  ThreadPool pool_{1};
  const ScaleEdge edge_{Role::kFfnNorm, {Role::kUp}, kIn};
  LayerParams layer_;
  SiteMoments moments_;
  const GridRule autoawq_{.scheme = {.bits = 4, .group = 4, .symmetric = false},
                          .scale_type = DType::kF32,
                          .include_zero = false};
};

TEST_F(WorkedExample, Statistics) {
  const ScaleStats stats = CollectScaleStats(edge_, layer_, moments_.mean_abs, autoawq_.scheme);
  const float x[] = {.645833f, .604167f, .645833f, 5, .5625f, .583333f, .5f, .645833f};
  const float w[] = {.674241f, .548231f, .634342f, .58409f, .863635f, .734595f, .262121f, .619443f};
  for (size_t i = 0; i < kIn; ++i) {
    EXPECT_NEAR(stats.x[i], x[i], 1e-5f);
    EXPECT_NEAR(stats.w[i], w[i], 1e-5f);
  }
}

TEST_F(WorkedExample, LossesOfAutoAwq) {
  const double duo[] = {.414138, .567856,  .624493,  .672043,  .577474,  .484657, .426114,
                        .382696, .359022,  .317095,  .254864,  .206871,  .164427, .136799,
                        .10942,  .0915715, .0800738, .0692792, .0587056, .0498633};
  const double plain[] = {.321486, .515258,  .613356,  .654804,  .611802,  .518934, .444009,
                          .390551, .363502,  .327748,  .264781,  .225124,  .176202, .14304,
                          .118613, .0932825, .0809787, .0689672, .0599846, .0501354};
  const ScaleStats stats = CollectScaleStats(edge_, layer_, moments_.mean_abs, autoawq_.scheme);
  EXPECT_NEAR(Loss(autoawq_, {}), .321486, 1e-5);
  for (int i = 0; i < 20; ++i) {
    EXPECT_NEAR(Loss(autoawq_, CandidateScale(stats, i / 20.0, true)), duo[i], 2e-5) << i;
    EXPECT_NEAR(Loss(autoawq_, CandidateScale(stats, i / 20.0, false)), plain[i], 2e-5) << i;
  }
}

// compressed-tensors' quantizer, whose range includes zero.
TEST_F(WorkedExample, LossesWithZeroInTheRange) {
  GridRule rule = autoawq_;
  rule.include_zero = true;
  EXPECT_NEAR(Loss(rule, {}), .00955306, 1e-6);
  const float s[] = {.538574f, .551929f, .549635f, 2.210995f,
                     .452285f, .489065f, .622154f, .554007f};
  EXPECT_NEAR(Loss(rule, s), .0024473, 1e-6);
  rule.scheme.symmetric = true;
  EXPECT_NEAR(Loss(rule, {}), .0445178, 1e-6);
}

TEST_F(WorkedExample, SearchNeverLosesToIdentity) {
  for (const bool include_zero : {false, true}) {
    for (const bool duo : {false, true}) {
      GridRule rule = autoawq_;
      rule.include_zero = include_zero;
      const ScaleChoice choice =
          SearchScale(*backend_, pool_, rule, {.duo = duo}, edge_, layer_, moments_);
      EXPECT_LE(choice.loss, choice.identity_loss);
      EXPECT_NEAR(choice.identity_loss / (kTokens * 4), Loss(rule, {}), 1e-9);
      EXPECT_NEAR(choice.loss / (kTokens * 4), Loss(rule, choice.scale), 1e-9);
      EXPECT_FALSE(choice.identity);
    }
  }
}

TEST_F(WorkedExample, NonFiniteLossIsRefused) {
  moments_.gram.As<float>()[0] = std::nanf("");
  EXPECT_THROW(SearchScale(*backend_, pool_, autoawq_, {}, edge_, layer_, moments_), Error);
}

TEST(ClipExample, ChosenThresholds) {
  const auto backend = MakeBackend("ref", 1);
  ThreadPool pool(1);
  MomentsTap tap(*backend);
  tap.OnInput(Role::kGate, 0, Inputs().view());
  const auto moments = tap.Finish();
  Tensor w = MakeTensor(DType::kF32, {64, kIn});
  for (int64_t o = 0; o < 64; ++o) {
    for (int64_t i = 0; i < kIn; ++i) {
      w.As<float>()[o * kIn + i] = WeightAt(o, i) * (i == 2 ? 3.0f : 1.0f);
    }
  }
  const GridRule rule{.scheme = {.bits = 4, .group = 4, .symmetric = false},
                      .scale_type = DType::kF32,
                      .include_zero = false};
  const double share =
      ClipWeights(*backend, pool, rule, w.view(), moments.at(Role::kGate).gram.view());
  EXPECT_GT(share, 0);
  EXPECT_LT(share, 1);
  const float expected[4][2] = {
      {1.35f, .6875f}, {.9375f, .534375f}, {.84375f, .625f}, {1.5f, .375f}};
  for (int64_t r = 0; r < 4; ++r) {
    for (int64_t g = 0; g < 2; ++g) {
      float top = 0;
      for (int64_t i = 0; i < 4; ++i) {
        top = std::max(top, std::abs(w.As<float>()[r * kIn + g * 4 + i]));
      }
      EXPECT_NEAR(top, expected[r][g], 1e-5f) << r << " " << g;
    }
  }
}

// Under grouped-query attention every query head of a kv head reads the same channels.
TEST(ScaleStats, SharedChannels) {
  const ScaleEdge edge{Role::kV, {Role::kO}, 4, 2, 2};  // two kv heads of size 2, four query heads
  const int64_t expected[] = {0, 1, 0, 1, 2, 3, 2, 3};
  for (int64_t c = 0; c < 8; ++c) EXPECT_EQ(edge.Channel(c), expected[c]);
  LayerParams layer;
  Tensor w = MakeTensor(DType::kF32, {1, 8});
  const float mean_abs[] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int64_t c = 0; c < 8; ++c) w.As<float>()[c] = static_cast<float>(c + 1);
  layer.linears[Role::kO].weight = std::move(w);
  const ScaleStats stats = CollectScaleStats(edge, layer, mean_abs, {.bits = 4, .group = -1});
  EXPECT_EQ(stats.x, (std::vector<float>{2, 3, 6, 7}));
  EXPECT_NEAR(stats.w[0], (1 + 3) / 2.0 / 8, 1e-6);
}

}  // namespace
}  // namespace awq
