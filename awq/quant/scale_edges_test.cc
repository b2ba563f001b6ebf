// Random positive scales on all edges leave the logits of every tiny model unchanged; forgetting
// one consumer does not.
#include "awq/quant/scale_edges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "awq/backend/make_backend.h"
#include "awq/nn/tiny_models.h"

namespace awq {
namespace {

LayerParams LoadF32(const WeightSource& source, int64_t layer) {
  LayerParams out = source.Layer(layer);
  for (auto& [role, linear] : out.linears) {
    linear.weight = ConvertTo(DenseWeight(out, role), DType::kF32);
    if (!linear.bias.empty()) linear.bias = ConvertTo(linear.bias.view(), DType::kF32);
  }
  return out;
}

std::vector<float> RandomScale(int64_t channels, std::mt19937& random) {
  std::uniform_real_distribution<float> exponent(-1.5f, 1.5f);
  std::vector<float> s(static_cast<size_t>(channels));
  for (float& v : s) v = std::exp2(exponent(random));
  return s;
}

std::vector<float> Logits(const std::string& name, const WeightSource& source,
                          const std::function<LayerParams(int64_t)>& layer) {
  const auto backend = MakeBackend("cpu", 2);
  const CausalLm model(*backend, source, layer);
  const KvPages pages(*backend, model.spec(), 0, model.spec().num_layers(), 16, DType::kF32);
  Workspace scratch(*backend);
  ExecContext ctx{*backend, scratch, DType::kF32, nullptr};
  const auto prompts = testing::LoadGoldens(name);
  BatchBuilder builder;
  const std::vector<int32_t> one[] = {prompts[0].tokens};
  return testing::RunBatch(ctx, model, BuildFreshBatch(builder, *backend, one), pages);
}

class ScaleEdges : public ::testing::TestWithParam<std::string> {};

TEST_P(ScaleEdges, LeaveTheLogitsUnchanged) {
  const WeightSource source = testing::OpenTiny(GetParam());
  std::mt19937 random(7);
  const auto rescaled = Logits(GetParam(), source, [&](int64_t layer) {
    LayerParams params = LoadF32(source, layer);
    for (const ScaleEdge& edge : DeriveScaleEdges(source.spec(), layer)) {
      ApplyScale(edge, RandomScale(edge.channels, random), params);
    }
    return params;
  });
  EXPECT_LE(testing::RelativeDifference(rescaled, testing::LoadGoldens(GetParam())[0].logits),
            1e-4);
}

// The test above can fail: each edge with one of its consumers forgotten changes the logits.
TEST_P(ScaleEdges, NeedEveryConsumer) {
  const WeightSource source = testing::OpenTiny(GetParam());
  const auto expected = testing::LoadGoldens(GetParam())[0].logits;
  const std::vector<ScaleEdge> edges = DeriveScaleEdges(source.spec(), 0);
  ASSERT_EQ(edges.size(), 4u);
  for (const ScaleEdge& edge : edges) {
    for (Role forgotten : edge.consumers) {
      std::mt19937 random(7);
      const auto broken = Logits(GetParam(), source, [&](int64_t layer) {
        LayerParams params = LoadF32(source, layer);
        if (layer != 0) return params;
        ScaleEdge partial = edge;
        std::erase(partial.consumers, forgotten);
        ApplyScale(partial, RandomScale(edge.channels, random), params);
        return params;
      });
      EXPECT_GT(testing::RelativeDifference(broken, expected), 1e-3)
          << RoleName(edge.producer) << " without " << RoleName(forgotten);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, ScaleEdges, ::testing::ValuesIn(testing::TinyModelNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace awq
