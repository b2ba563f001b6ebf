// What LayerPair gathers, against sums in f64 over inputs that a tap saw.
#include "awq/quant/layer_pair.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "awq/backend/make_backend.h"
#include "awq/nn/tiny_models.h"
#include "awq/quant/layer_weights.h"
#include "awq/quant/scale_edges.h"

namespace awq {
namespace {

constexpr int64_t kLayer = 1;

// Keeps the inputs of one linear, all tokens one below the other.
class InputTap : public Tap {
 public:
  explicit InputTap(LinearId id) : id_(id) {}
  void OnInput(LinearId id, int64_t, const TensorView& x) override {
    if (id != id_) return;
    k_ = x.dim(1);
    const Tensor copy = ConvertTo(x, DType::kF32);
    for (float v : copy.Span<const float>()) values_.push_back(v);
  }
  int64_t k() const { return k_; }
  double At(int64_t t, int64_t i) const { return values_[static_cast<size_t>(t * k_ + i)]; }

 private:
  LinearId id_;
  int64_t k_ = 0;
  std::vector<float> values_;
};

class LayerPairTest : public ::testing::TestWithParam<Role> {
 protected:
  LayerPairTest()
      : checkpoint_(
            Checkpoint::Open(std::filesystem::path(AWQ_TESTDATA) / "tiny_quantized" / "source")),
        source_(checkpoint_, ReadModel(checkpoint_->config())),
        backend_(MakeBackend("cpu", 2)),
        blocks_{TokenBlock(19, 1), TokenBlock(8, 2), TokenBlock(31, 3)},
        folder_(std::filesystem::path(::testing::TempDir()) /
                Cat("pair-", ::getpid(), "-", RoleName(GetParam()))) {
    std::filesystem::create_directories(folder_);
  }

  LayerParams Params(float noise) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    LayerParams out;
    for (const LinearShape& shape : LayerLinears(source_.spec(), kLayer)) {
      Tensor w = source_.DenseF32(shape, kLayer);
      for (float& v : w.Span<float>()) v *= 1 + noise * normal(random);
      out.linears[shape.id].weight = std::move(w);
    }
    for (const VectorShape& shape : LayerVectors(source_.spec(), kLayer)) {
      out.vectors.emplace(shape.role, source_.Vector(shape, kLayer));
    }
    return out;
  }

  ~LayerPairTest() override { std::filesystem::remove_all(folder_); }

  static Tensor RowsOf(const ActivationStore& store) {
    Tensor out = MakeTensor(DType::kF32, {store.num_tokens(), store.hidden()});
    store.Read(store.Pieces(1 << 20).front(), out.view());
    return out;
  }

  // The first token of every block is loud.
  void Fill(ActivationStore& store, float noise) {
    std::mt19937 random(6);
    std::mt19937 other(7);
    std::normal_distribution<float> normal;
    for (const auto& piece : store.Pieces(1 << 20)) {
      const Tensor all = MakeTensor(DType::kF32, {piece.rows(), store.hidden()});
      const TensorView& rows = all.view();
      for (float& v : rows.Span<float>()) v = normal(random) + noise * normal(other);
      for (int64_t row : {0, 19, 27}) {
        for (int64_t c = 0; c < rows.dim(1); ++c) rows.As<float>()[row * rows.dim(1) + c] *= 20;
      }
      store.Write(piece, rows);
    }
    store.Flip();
    store.Commit();
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  WeightSource source_;
  std::unique_ptr<Backend> backend_;
  std::vector<TokenBlock> blocks_;
  std::filesystem::path folder_;
};

TEST_P(LayerPairTest, MomentsOfBothStreams) {
  const Role site = GetParam();
  const int64_t hidden = source_.spec().hidden;
  ActivationStore full(blocks_, hidden, folder_ / "full");
  ActivationStore quantized(blocks_, hidden, folder_ / "quantized");
  Fill(full, 0);
  Fill(quantized, 0.1f);
  const LayerParams original = Params(0);
  const LayerParams current = Params(0.1f);
  const auto poll = [] {};

  InputTap x_full(site), x(site);
  LayerRunner(*backend_, source_.spec(), kLayer, full).Observe(original, &x_full, poll);
  LayerRunner(*backend_, source_.spec(), kLayer, quantized).Observe(current, &x, poll);
  ActivationStore after(blocks_, hidden, folder_ / "after");
  Fill(after, 0);
  LayerRunner(*backend_, source_.spec(), kLayer, after).Advance(original, nullptr, poll);

  KeptRows kept(*backend_, 0, 0, folder_ / "kept");
  LayerPair pair(*backend_, source_.spec(), kLayer, full, quantized, kept, 0);
  SiteMoments moments;
  for (const Role role : {Role::kQ, Role::kO, Role::kGate, Role::kDown}) {
    moments = pair.Observe(role, original, current, poll);
    if (role == site) break;
    if (role == Role::kO) pair.Advance(role, original, current, poll);
  }
  const int64_t k = x.k();
  const int64_t tokens = full.num_tokens();
  ASSERT_EQ(moments.tokens, tokens);
  const auto expect_near = [&](const Tensor& found,
                               const std::function<double(int64_t, int64_t)>& of) {
    double error = 0, power = 0;
    for (int64_t i = 0; i < found.shape()[0]; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        double sum = 0;
        for (int64_t t = 0; t < tokens; ++t) sum += of(t, i) * x.At(t, j);
        const double difference = found.As<float>()[i * k + j] - sum;
        error += difference * difference;
        power += sum * sum;
      }
    }
    EXPECT_LT(error, 1e-9 * power);
    EXPECT_GT(power, 0);
  };
  expect_near(moments.gram, [&](int64_t t, int64_t i) { return x.At(t, i); });
  if (site == Role::kQ || site == Role::kGate) {
    expect_near(moments.drift, [&](int64_t t, int64_t i) { return x_full.At(t, i) - x.At(t, i); });
    return;
  }
  const Tensor r_full = RowsOf(full);
  const Tensor r = RowsOf(quantized);
  const float* w = DenseWeight(current, site).As<const float>();
  expect_near(moments.output_drift, [&](int64_t t, int64_t i) {
    double y = 0;
    for (int64_t j = 0; j < k; ++j) y += w[i * k + j] * x.At(t, j);
    return r_full.As<float>()[t * hidden + i] - r.As<float>()[t * hidden + i] - y;
  });
  if (site == Role::kDown) {
    const Tensor end = RowsOf(after);
    for (int64_t i = 0; i < end.shape().NumElements(); ++i) {
      ASSERT_NEAR(r_full.As<float>()[i], end.As<float>()[i],
                  1e-4 * (1 + std::abs(end.As<float>()[i])));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sites, LayerPairTest,
                         ::testing::Values(Role::kQ, Role::kO, Role::kGate, Role::kDown),
                         [](const auto& info) { return std::string(RoleName(info.param)); });

// A block of every kind advances both streams as the layer run at once does.
class AdvanceTest : public ::testing::TestWithParam<const char*> {};

TEST_P(AdvanceTest, IsTheWholeLayer) {
  const WeightSource source = testing::OpenTiny(GetParam());
  const ModelSpec& model = source.spec();
  const auto backend = MakeBackend("cpu", 2);
  const std::vector<TokenBlock> blocks{TokenBlock(9, 1), TokenBlock(5, 2), TokenBlock(12, 3)};
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / Cat("advance-", ::getpid(), "-", GetParam());
  std::filesystem::create_directories(folder);
  const LayerWeights weights(source, 0);
  LayerParams params = weights.Stored();
  weights.LoadAll(params);
  const auto poll = [] {};
  const auto fill = [&](ActivationStore& store, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto piece = store.Pieces(1 << 20).front();
    const Tensor rows = MakeTensor(DType::kF32, {piece.rows(), model.hidden});
    for (float& v : rows.Span<float>()) v = normal(random);
    store.Write(piece, rows.view());
    store.Flip();
    store.Commit();
  };
  const auto rows_of = [](const ActivationStore& store) {
    Tensor out = MakeTensor(DType::kF32, {store.num_tokens(), store.hidden()});
    store.Read(store.Pieces(1 << 20).front(), out.view());
    return out;
  };
  for (const int64_t room : {0, 1 << 20}) {
    ActivationStore full(blocks, model.hidden, folder / "full");
    ActivationStore quantized(blocks, model.hidden, folder / "quantized");
    fill(full, 1);
    fill(quantized, 2);
    KeptRows kept(*backend, room, room / 2, folder / "kept");
    LayerPair pair(*backend, model, 0, full, quantized, kept, 0);
    pair.Observe(Role::kO, params, params, poll);
    pair.Advance(Role::kO, params, params, poll);
    if (std::holds_alternative<MlpSpec>(model.layers[0].ffn)) {
      pair.Observe(Role::kDown, params, params, poll);
    }
    pair.Advance(Role::kDown, params, params, poll);
    for (const auto& [store, seed] : {std::pair{&full, 1u}, {&quantized, 2u}}) {
      ActivationStore whole(blocks, model.hidden, folder / "whole");
      fill(whole, seed);
      LayerRunner(*backend, model, 0, whole).Advance(params, nullptr, poll);
      const Tensor found = rows_of(*store);
      const Tensor expected = rows_of(whole);
      for (int64_t i = 0; i < expected.shape().NumElements(); ++i) {
        const float value = expected.As<float>()[i];
        ASSERT_NEAR(found.As<float>()[i], value, 1e-5 * (1 + std::abs(value))) << room << " " << i;
      }
    }
  }
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Blocks, AdvanceTest,
                         ::testing::Values("llama_bias", "gpt_neox", "gptj", "falcon_7b",
                                           "falcon_40b", "cohere", "phi", "stablelm_parallel",
                                           "gemma2", "granite", "opt_post_norm", "mixtral",
                                           "deepseek_v2"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace awq
