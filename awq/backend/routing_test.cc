// Which experts tokens go to where scores are equal, and what experts without tokens do.
#include <gtest/gtest.h>

#include <limits>

#include "awq/backend/make_backend.h"

namespace awq {
namespace {

struct Routed {
  Routed(const RouteArgs& args, Backend& backend, const std::vector<std::vector<float>>& logits,
         int64_t active)
      : scores(MakeTensor(DType::kF32, {static_cast<int64_t>(logits.size()),
                                        static_cast<int64_t>(logits[0].size())})),
        experts(MakeTensor(DType::kI32, {scores.shape()[0], active})),
        weights(MakeTensor(DType::kF32, {scores.shape()[0], active})),
        pairs(MakeTensor(DType::kI32, {scores.shape()[0] * active})),
        starts(MakeTensor(DType::kI32, {scores.shape()[1] + 1})),
        routing{experts.view(), weights.view(), pairs.view(), starts.view()} {
    float* out = scores.As<float>();
    for (const auto& row : logits) out = std::copy(row.begin(), row.end(), out);
    backend.Route(args, scores.view(), {}, routing);
  }
  std::vector<int32_t> Experts() const {
    const auto all = experts.Span<const int32_t>();
    return {all.begin(), all.end()};
  }
  std::vector<int32_t> Starts() const {
    const auto all = starts.Span<const int32_t>();
    return {all.begin(), all.end()};
  }

  Tensor scores, experts, weights, pairs, starts;
  Routing routing;
};

using Ids = std::vector<int32_t>;

class RoutingOf : public testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Backend> backend_ = MakeBackend(GetParam(), 2);
};

TEST_P(RoutingOf, EqualScoresTakeTheLowestExpert) {
  EXPECT_EQ(Routed({}, *backend_, {{1, 2, 2, 1}}, 3).Experts(), (Ids{1, 2, 0}));
  EXPECT_EQ(Routed({}, *backend_, {{0, 0, 0, 0, 0, 0}}, 2).Experts(), (Ids{0, 1}));
}

TEST_P(RoutingOf, SaturatedSigmoidsAreEqual) {
  const std::vector<float> logits = {40, 50, 60, 40, 90, 100, 80, 70};
  EXPECT_EQ(Routed({.sigmoid = true}, *backend_, {logits}, 3).Experts(), (Ids{0, 1, 2}));
  const RouteArgs groups = {.sigmoid = true, .groups = 4, .active_groups = 2, .rank_by = 2};
  EXPECT_EQ(Routed(groups, *backend_, {logits}, 4).Experts(), (Ids{0, 1, 2, 3}));
}

TEST_P(RoutingOf, ExpertsWithoutTokensAreNotRead) {
  const Routed r({}, *backend_, {{0, 0, 0, 9, 0}, {0, 0, 0, 9, 0}}, 1);
  EXPECT_EQ(r.Starts(), (Ids{0, 0, 0, 0, 2, 2}));
  std::vector<std::unique_ptr<PackedWeight>> weights;
  for (int e = 0; e < 5; ++e) {
    const Tensor w = MakeTensor(DType::kF32, {3, 32});
    std::fill_n(w.As<float>(), 96, e == 3 ? 1.0f : std::numeric_limits<float>::quiet_NaN());
    weights.push_back(backend_->PrepareDense(w.view(), DType::kF32));
  }
  const auto stack = backend_->Stack(std::move(weights));
  const Tensor x = MakeTensor(DType::kF32, {2, 32});
  std::fill_n(x.As<float>(), 64, 0.5f);
  const Tensor y = MakeTensor(DType::kF32, {2, 3});
  backend_->MoeLinear(*stack, r.routing, x.view(), y.view());
  for (float v : y.Span<const float>()) EXPECT_EQ(v, 16);
}

INSTANTIATE_TEST_SUITE_P(Host, RoutingOf, testing::Values("ref", "cpu"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace awq
