// Random positive scales on all edges leave the logits of every tiny model unchanged; forgetting
// one consumer does not.
#include "awq/quant/scale_edges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "awq/backend/make_backend.h"
#include "awq/nn/tiny_models.h"
#include "awq/quant/moments.h"

namespace awq {
namespace {

LayerParams LoadF32(const WeightSource& source, int64_t layer) {
  LayerParams out = source.Layer(layer);
  for (auto& [id, linear] : out.linears) {
    linear.weight = ConvertTo(DenseWeight(out, id), DType::kF32);
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
                          const std::function<LayerParams(int64_t)>& layer, Tap* tap = nullptr) {
  const auto backend = MakeBackend("cpu", 2);
  const CausalLm model(*backend, source, layer);
  const KvPages pages(*backend, model.spec(), 0, model.spec().num_layers(), 16, DType::kF32);
  Workspace scratch(*backend);
  ExecContext ctx{*backend, scratch, DType::kF32, tap};
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

// Which linears of a layer read anything at all: a prompt need not reach every expert.
class SeenTap : public Tap {
 public:
  explicit SeenTap(int64_t layer) : layer_(layer) {}
  void OnInput(LinearId id, int64_t layer, const TensorView&) override {
    if (layer == layer_) seen_.insert(SiteOf(id));
  }
  bool Saw(LinearId id) const { return seen_.contains(SiteOf(id)); }

 private:
  int64_t layer_;
  std::set<LinearId> seen_;
};

// The test above can fail: each edge with one of its consumers forgotten changes the logits. In the
// first layer, and in the last, which may be of another kind.
TEST_P(ScaleEdges, NeedEveryConsumer) {
  const WeightSource source = testing::OpenTiny(GetParam());
  const auto expected = testing::LoadGoldens(GetParam())[0].logits;
  for (const int64_t changed : {int64_t{0}, source.spec().num_layers() - 1}) {
    SeenTap tap(changed);
    Logits(
        GetParam(), source, [&](int64_t layer) { return LoadF32(source, layer); }, &tap);
    const std::vector<ScaleEdge> edges = DeriveScaleEdges(source.spec(), changed);
    ASSERT_FALSE(edges.empty());
    int tried = 0;
    for (const ScaleEdge& edge : edges) {
      for (LinearId forgotten : edge.consumers) {
        if (!tap.Saw(forgotten)) continue;
        ++tried;
        std::mt19937 random(7);
        const auto broken = Logits(GetParam(), source, [&](int64_t layer) {
          LayerParams params = LoadF32(source, layer);
          if (layer != changed) return params;
          ScaleEdge partial = edge;
          std::erase(partial.consumers, forgotten);
          ApplyScale(partial, RandomScale(edge.channels, random), params);
          return params;
        });
        EXPECT_GT(testing::RelativeDifference(broken, expected), 1e-3)
            << LinearName(edge.producer) << " without " << LinearName(forgotten);
      }
    }
    EXPECT_GE(tried, 1);  // where norms have no weight, up → down alone is left
  }
}

std::string Describe(const std::vector<ScaleEdge>& edges) {
  std::string text;
  for (const ScaleEdge& edge : edges) {
    text += Cat(text.empty() ? "" : "; ", LinearName(edge.producer), " →");
    for (LinearId id : edge.consumers) text += " " + LinearName(id);
  }
  return text;
}

// What each kind of block leads to.
TEST(DeriveScaleEdges, OfEveryKindOfBlock) {
  const std::string llama = "attn_norm → q k v; v → o; ffn_norm → gate up; up → down";
  const std::pair<const char*, std::string> expected[] = {
      {"llama_mha", llama},
      {"gemma", llama},
      {"gemma2", llama},
      {"phi3", llama},
      {"gpt_neox", "attn_norm → q k v; v → o; ffn_norm → up"},
      {"gpt_neox_sequential", "attn_norm → q k v; v → o; ffn_norm → up"},
      {"opt", "attn_norm → q k v; v → o; ffn_norm → up; up → down"},
      {"opt_post_norm", "v → o; up → down"},
      {"opt_no_bias", "attn_norm → q k v; v → o; ffn_norm → up"},
      {"bloom", "attn_norm → q k v; v → o; ffn_norm → up"},
      {"cohere", "attn_norm → q k v gate up; v → o; up → down"},
      {"gemma3", llama},
      {"gpt_bigcode", "attn_norm → q k v; v → o; ffn_norm → up"},
      {"gptj", "attn_norm → q k v up; v → o"},
      {"granite", llama},
      {"mpt", "attn_norm → q k v; ffn_norm → up"},  // clamps q, k, v
      {"olmo", "up → down"},                        // and has norms without weights
      {"phi", "attn_norm → q k v up; v → o"},
      {"stablelm", llama},
      {"stablelm_parallel", "attn_norm → q k v gate up; v → o; up → down"},
      {"starcoder2", "attn_norm → q k v; v → o; ffn_norm → up"},
      {"falcon_7b", "attn_norm → q k v up; v → o"},
      {"falcon_11b", "attn_norm → q k v up; v → o"},
      {"falcon_40b", "attn_norm → q k v; v → o; ffn_norm → up"},
      {"falcon_rw", "attn_norm → q k v; v → o; ffn_norm → up"}};
  for (const auto& [name, edges] : expected) {
    EXPECT_EQ(Describe(DeriveScaleEdges(testing::OpenTiny(name).spec(), 0)), edges) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, ScaleEdges, ::testing::ValuesIn(testing::TinyModelNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace awq
