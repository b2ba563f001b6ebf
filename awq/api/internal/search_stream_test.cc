// Layers with one routed expert at a time, against the stream that holds whole layers.
#include "awq/api/internal/search_stream.h"

#include <gtest/gtest.h>

#include <cstring>

#include "awq/api/internal/layer_stream.h"
#include "awq/api/internal/scratch_folder.h"
#include "awq/backend/make_backend.h"
#include "awq/nn/tiny_models.h"
#include "awq/quant/layer_weights.h"
#include "awq/quant/moments.h"

namespace awq {
namespace {

bool SameBits(const TensorView& a, const TensorView& b) {
  return a.shape == b.shape && std::memcmp(a.data, b.data, static_cast<size_t>(a.NumBytes())) == 0;
}

class SearchStreamTest : public ::testing::TestWithParam<const char*> {
 protected:
  const testing::ScratchFolder scratch_;
};

TEST_P(SearchStreamTest, GivesTheBitsOfWholeLayers) {
  const WeightSource source = testing::OpenTiny(GetParam());
  const ModelSpec& model = source.spec();
  const auto backend = MakeBackend("cpu", 2);
  const auto ends = LoadEnds(*backend, source);
  const std::vector<TokenBlock> blocks{TokenBlock(100, 1), {5, 9, 17, 33, 65, 80, 99}};
  LayerStream expected(*backend, model, ends, blocks);
  KeptRows kept(*backend, kKeptBytes, 0, scratch_.path() / "kept");
  const SearchContext context{*backend, source, scratch_.path(), [] {}, kept};
  SearchStream observed(context, blocks, "observed");
  SearchStream found(observed, "found");
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    const LayerParams params = source.Layer(i);
    MomentsTap whole(*backend);
    expected.Advance(
        i, params, [] {}, &whole);
    const auto moments = whole.Finish();
    size_t sites = 0;
    MomentsTap tap(*backend);
    observed.Observe(i, params, tap, [&](int64_t expert) {
      for (const auto& [site, m] : tap.Finish()) {
        EXPECT_EQ(site.expert, expert);
        EXPECT_TRUE(SameBits(m.gram.view(), moments.at(site).gram.view())) << LinearName(site);
        ++sites;
      }
    });
    EXPECT_EQ(sites, moments.size());
    found.Advance(i, params, [&](int64_t e) { return ShareExpert(params, e); });
  }
  std::vector<float> a, b, c;
  expected.Logits(0, 107, a);
  observed.Logits(*ends, 0, 107, b);
  found.Logits(*ends, 0, 107, c);
  EXPECT_EQ(a, b);
  EXPECT_EQ(a, c);
}

INSTANTIATE_TEST_SUITE_P(Models, SearchStreamTest,
                         ::testing::Values("qwen2", "mixtral", "qwen2_moe", "deepseek_v3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace awq
