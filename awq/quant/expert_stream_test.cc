// Experts one by one, against the layer that holds all of them.
#include "awq/quant/expert_stream.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "awq/backend/make_backend.h"
#include "awq/nn/tiny_models.h"
#include "awq/quant/layer_runner.h"
#include "awq/quant/layer_weights.h"
#include "awq/quant/moments.h"

namespace awq {
namespace {

class ExpertStreamTest : public ::testing::TestWithParam<const char*> {
 protected:
  ~ExpertStreamTest() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_ =
      std::filesystem::path(::testing::TempDir()) / Cat("experts-", ::getpid(), "-", GetParam());
};

bool SameBits(const TensorView& a, const TensorView& b) {
  return a.shape == b.shape && std::memcmp(a.data, b.data, static_cast<size_t>(a.NumBytes())) == 0;
}

// What experts give, and what they read.
TEST_P(ExpertStreamTest, GivesTheBitsOfTheWholeLayer) {
  const WeightSource source = testing::OpenTiny(GetParam());
  const ModelSpec& model = source.spec();
  const int64_t layer = model.num_layers() - 1;
  const auto& moe = std::get<MoeSpec>(model.layers.back().ffn);
  const auto backend = MakeBackend("cpu", 2);
  std::filesystem::create_directories(folder_);
  const std::vector<TokenBlock> blocks{TokenBlock(1200, 1), TokenBlock(1500, 2), TokenBlock(1, 3),
                                       TokenBlock(900, 4)};
  const LayerParams params = LayerWeights(source, layer).Stored();
  const DecoderLayer whole = MakeDecoderLayer(*backend, model, layer, params);
  const DecoderLayer rest = MakeDecoderLayer(*backend, model, layer, ShareDense(params));
  const auto fill = [&](ActivationStore& store) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (const auto& piece : store.Pieces(1)) {
      const Tensor rows = MakeTensor(DType::kF32, {piece.rows(), model.hidden});
      for (float& v : rows.Span<float>()) v = normal(random);
      store.Write(piece, rows.view());
    }
    store.Flip();
    store.Commit();
  };

  ActivationStore expected(blocks, model.hidden, folder_ / "expected");
  fill(expected);
  const auto pieces = expected.Pieces(PieceTokens(model, layer));
  ASSERT_EQ(pieces.size(), 3u);
  Workspace scratch(*backend);
  MomentsTap whole_tap(*backend);
  ExecContext ctx{*backend, scratch, DType::kF32, &whole_tap};
  for (const auto& piece : pieces) {
    const Tensor rows = MakeTensor(DType::kF32, {piece.rows(), model.hidden});
    const Tensor x = MakeTensor(DType::kF32, rows.shape());
    expected.Read(piece, rows.view());
    whole.FfnInput(ctx, rows.view(), x.view());
    whole.Feed(ctx, x.view(), x.view());
    whole.AddFfn(ctx, rows.view(), x.view());
    expected.Write(piece, rows.view());
  }
  expected.Flip();
  const auto moments = whole_tap.Finish();

  const int64_t row_bytes = moe.active * model.hidden * 4;
  for (const int64_t limit : {int64_t{0}, 2701 * row_bytes, int64_t{1} << 30}) {
    ActivationStore found(blocks, model.hidden, folder_ / "found");
    fill(found);
    KeptRows kept(*backend, limit, limit / 2, folder_ / "kept");
    ExpertStream experts(
        *backend, model, layer, [&](int64_t e) { return ShareExpert(params, e); }, rest, found,
        kept);
    MomentsTap tap(*backend);
    for (int64_t e = 0; e < moe.experts; ++e) experts.Observe(e, tap, [] {});
    const auto seen = tap.Finish();
    for (const auto& [site, m] : seen) {
      EXPECT_TRUE(SameBits(m.gram.view(), moments.at(site).gram.view())) << LinearName(site);
      EXPECT_EQ(m.mean_abs, moments.at(site).mean_abs) << LinearName(site);
    }
    EXPECT_EQ(seen.size(), std::ranges::count_if(
                               moments, [](const auto& entry) { return entry.first.expert >= 0; }));
    experts.Advance([] {});
    EXPECT_EQ(kept.pieces(), 0u);
    for (const auto& piece : pieces) {
      const Tensor a = MakeTensor(DType::kF32, {piece.rows(), model.hidden});
      const Tensor b = MakeTensor(DType::kF32, a.shape());
      expected.Read(piece, a.view());
      found.Read(piece, b.view());
      EXPECT_TRUE(SameBits(a.view(), b.view())) << limit << ", rows from " << piece.first_row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ExpertStreamTest,
                         ::testing::Values("mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace awq
