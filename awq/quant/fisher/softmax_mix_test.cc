// SoftmaxMix against loops in f64, over blocks of several tiles.
#include "awq/quant/fisher/softmax_mix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "awq/backend/make_backend.h"
#include "awq/quant/fisher/fast_exp.h"

namespace awq {
namespace {

constexpr int64_t kHeads = 4, kKvHeads = 2, kSize = 8;
constexpr int32_t kStarts[] = {0, 1, 301, 832};
constexpr int64_t kTokens = kStarts[3];

struct Case {
  const char* name;
  int64_t window = 0;
  float softcap = 0;
  bool alibi = false;
};

class SoftmaxMixTest : public ::testing::TestWithParam<Case> {
 protected:
  static Tensor Random(int64_t heads, float scale, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, scale);
    Tensor out = MakeTensor(DType::kF32, {kTokens, heads * kSize});
    for (float& v : out.Span<float>()) v = normal(random);
    return out;
  }
  static const float* HeadOf(const Tensor& x, int64_t row, int64_t head) {
    return x.As<const float>() + row * x.shape()[1] + head * kSize;
  }
  static double Dot(const float* a, const float* b) {
    double sum = 0;
    for (int64_t i = 0; i < kSize; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
  }
  static void ExpectNear(const Tensor& found, const std::vector<double>& expected) {
    double error = 0, power = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      error += std::pow(static_cast<double>(found.As<const float>()[i]) - expected[i], 2);
      power += expected[i] * expected[i];
    }
    EXPECT_LT(std::sqrt(error / power), 2e-6);
  }
};

TEST_P(SoftmaxMixTest, ForwardAndBackward) {
  const Case& c = GetParam();
  const Tensor q = Random(kHeads, 2, 1);
  const Tensor k = Random(kKvHeads, 1, 2);
  const Tensor v = Random(kKvHeads, 1, 3);
  const Tensor grad = Random(kHeads, 1, 4);
  std::vector<float> slopes = {0.5f, 0.25f, 0.1f, 0.02f};
  AttentionArgs args{.scale = 0.4f, .window = c.window, .softcap = c.softcap, .alibi_slopes = {}};
  if (c.alibi) args.alibi_slopes = TensorView(slopes.data(), DType::kF32, {kHeads});

  const auto all = [](const Tensor& t) { return static_cast<size_t>(t.view().NumElements()); };
  std::vector<double> mixed(all(q)), grad_q(all(q)), grad_k(all(k)), grad_v(all(v));
  for (size_t b = 0; b + 1 < std::size(kStarts); ++b) {
    for (int64_t t = kStarts[b]; t < kStarts[b + 1]; ++t) {
      const int64_t first =
          c.window > 0 ? std::max<int64_t>(kStarts[b], t - c.window + 1) : kStarts[b];
      for (int64_t h = 0; h < kHeads; ++h) {
        const int64_t g = h / (kHeads / kKvHeads);
        std::vector<double> p, slope, grad_p;
        double total = 0, mean = 0;
        for (int64_t s = first; s <= t; ++s) {
          double score = Dot(HeadOf(q, t, h), HeadOf(k, s, g)) * args.scale;
          const double tanh = c.softcap > 0 ? std::tanh(score / c.softcap) : 0.0;
          if (c.softcap > 0) score = c.softcap * tanh;
          if (c.alibi) score += slopes[static_cast<size_t>(h)] * static_cast<double>(s - t);
          p.push_back(std::exp(score));
          slope.push_back((1 - tanh * tanh) * args.scale);
          grad_p.push_back(Dot(HeadOf(grad, t, h), HeadOf(v, s, g)));
          total += p.back();
        }
        for (double& x : p) x /= total;
        for (size_t i = 0; i < p.size(); ++i) mean += p[i] * grad_p[i];
        for (int64_t s = first; s <= t; ++s) {
          const auto i = static_cast<size_t>(s - first);
          const double grad_score = p[i] * (grad_p[i] - mean) * slope[i];
          for (int64_t j = 0; j < kSize; ++j) {
            const auto query = static_cast<size_t>((t * kHeads + h) * kSize + j);
            const auto key = static_cast<size_t>((s * kKvHeads + g) * kSize + j);
            mixed[query] += p[i] * HeadOf(v, s, g)[j];
            grad_q[query] += grad_score * HeadOf(k, s, g)[j];
            grad_k[key] += grad_score * HeadOf(q, t, h)[j];
            grad_v[key] += p[i] * HeadOf(grad, t, h)[j];
          }
        }
      }
    }
  }

  const auto backend = MakeBackend("cpu", 2);
  ThreadPool pool(2);
  Workspace scratch(*backend);
  const GradientContext ctx{*backend, pool, scratch, nullptr};
  const SoftmaxMix mix(kHeads, kKvHeads, kSize, args);
  const SoftmaxMix::Inputs in{q.view(), k.view(), v.view(), kStarts};
  const Tensor out = MakeTensor(DType::kF32, q.shape());
  mix.Forward(ctx, in, out.view());
  ExpectNear(out, mixed);
  const Tensor found_q = MakeTensor(DType::kF32, q.shape());
  const Tensor found_k = MakeTensor(DType::kF32, k.shape());
  const Tensor found_v = MakeTensor(DType::kF32, v.shape());
  mix.Backward(ctx, in, grad.view(), {found_q.view(), found_k.view(), found_v.view()});
  ExpectNear(found_q, grad_q);
  ExpectNear(found_k, grad_k);
  ExpectNear(found_v, grad_v);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SoftmaxMixTest,
                         ::testing::Values(Case{"Plain"}, Case{"Window", 270}, Case{"Cap", 0, 3.0f},
                                           Case{"Alibi", 0, 0, true}, Case{"All", 100, 2.0f, true}),
                         [](const auto& info) { return info.param.name; });

TEST(FastExp, IsExp) {
  constexpr int kSteps = 6350;
  for (int i = 0; i <= kSteps; ++i) {
    const double x = -87.0 * i / kSteps;
    const auto f = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(f));
    ASSERT_NEAR(FastExp(f), exact, 2.4e-7 * exact) << x;
  }
  EXPECT_EQ(FastExp(0), 1);
  std::vector<float> row = {-1e30f, 2, 1};
  EXPECT_NEAR(ExpOfRow(row.data(), 3, 2), 1 + std::exp(-1.0), 1e-6);
  EXPECT_LT(row[0], 1e-37f);
}

}  // namespace
}  // namespace awq
