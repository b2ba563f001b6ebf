// Gradients of tiny models against PyTorch (tools/make_gradient_goldens.py), and labels.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "awq/backend/make_backend.h"
#include "awq/checkpoint/fused_rows.h"
#include "awq/nn/tiny_models.h"
#include "awq/quant/block_pieces.h"
#include "awq/quant/fisher/head_gradient.h"
#include "awq/quant/fisher/layer_gradient.h"
#include "awq/quant/layer_weights.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

fs::path GoldenFolder() { return fs::path(AWQ_TESTDATA) / "gradients"; }

std::vector<std::string> GoldenNames() {
  std::vector<std::string> names;
  for (const auto& e : fs::directory_iterator(GoldenFolder())) {
    names.push_back(e.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::span<const float> Part(const Tensor& t, int64_t begin, int64_t end) {
  const auto columns = static_cast<size_t>(t.shape()[1]);
  return t.Span<const float>().subspan(static_cast<size_t>(begin) * columns,
                                       static_cast<size_t>(end - begin) * columns);
}

Tensor Transposed(const Tensor& t) {
  const int64_t rows = t.shape()[0];
  const int64_t columns = t.shape()[1];
  Tensor out = MakeTensor(DType::kF32, {columns, rows});
  for (int64_t i = 0; i < rows * columns; ++i) {
    out.As<float>()[i % columns * rows + i / columns] = t.As<const float>()[i];
  }
  return out;
}

// A model, the streams between its layers for some blocks, and the gradients through it.
class Gradients {
 public:
  Gradients(const std::string& name, std::vector<TokenBlock> blocks)
      : source_(testing::OpenTiny(name)),
        backend_(MakeBackend("cpu", 2)),
        pool_(2),
        scratch_(*backend_),
        blocks_(std::move(blocks)),
        batch_(BuildFreshBatch(builder_, *backend_, blocks_)) {
    const ModelSpec& model = source_.spec();
    const Shape shape{batch_.num_tokens(), model.hidden};
    ExecContext ctx{*backend_, scratch_, DType::kF32, nullptr};
    KvPages pages(*backend_, model, 0, model.num_layers(), 16, DType::kF32);
    streams_.push_back(MakeTensor(DType::kF32, shape));
    Embedding(*backend_, source_).Forward(ctx, batch_, streams_[0].view());
    for (int64_t i = 0; i < model.num_layers(); ++i) {
      streams_.push_back(ConvertTo(streams_.back().view(), DType::kF32));
      MakeDecoderLayer(*backend_, model, i, source_.Layer(i))
          .Forward(ctx, batch_, pages.layers()[static_cast<size_t>(i)], streams_.back().view());
    }
    grad_ = MakeTensor(DType::kF32, shape);
  }

  double Head(std::span<const int32_t> labels, const HeadSlices& slices = {}) {
    return HeadGradient(*backend_, source_, slices)
        .Backward(Context(), streams_.back().view(), labels, grad_.view());
  }
  // Labels of rows [begin, end) are drawn.
  double Head(uint64_t seed, int64_t begin, int64_t end, const HeadSlices& slices = {}) {
    return HeadGradient(*backend_, source_, slices)
        .Backward(Context(), streams_.back().view().Rows(begin, end), seed, begin,
                  grad_.view().Rows(begin, end));
  }
  // Through layer i; the linears' gradients are kept.
  void Layer(int64_t i) {
    LayerWeights weights(source_, i);
    LayerParams params = weights.Stored();
    weights.LoadAll(params);
    linears_.clear();
    GradientContext ctx = Context();
    ctx.sink = [&](LinearId id, const TensorView& gradient) {
      ASSERT_TRUE(linears_.emplace(id, ConvertTo(gradient, DType::kF32)).second);
    };
    LayerGradient(*backend_, source_.spec(), i, params)
        .Backward(ctx, batch_, streams_[static_cast<size_t>(i)].view(), grad_.view(), grad_.view());
  }

  const WeightSource& source() const { return source_; }
  const Tensor& grad() const { return grad_; }
  const std::map<LinearId, Tensor>& linears() const { return linears_; }

 private:
  GradientContext Context() { return {*backend_, pool_, scratch_, nullptr}; }

  WeightSource source_;
  std::unique_ptr<Backend> backend_;
  ThreadPool pool_;
  Workspace scratch_;
  std::vector<TokenBlock> blocks_;
  BatchBuilder builder_;
  Batch batch_;
  std::vector<Tensor> streams_;
  Tensor grad_;
  std::map<LinearId, Tensor> linears_;
};

class GradientGolden : public ::testing::TestWithParam<std::string> {
 protected:
  GradientGolden()
      : golden_(SafetensorsFile::Open(GoldenFolder() / (GetParam() + ".safetensors"))) {}

  // Rows [begin, …) of what was computed against a tensor of the golden file.
  void ExpectRows(const std::string& name, const Tensor& found, int64_t begin) {
    const Tensor expected = golden_->Get(name);
    ExpectClose(name, Part(found, begin, begin + expected.shape()[0]), expected);
  }
  static void ExpectClose(const std::string& name, std::span<const float> found,
                          const Tensor& expected) {
    const auto reference = expected.Span<const float>();
    ASSERT_EQ(found.size(), reference.size()) << name;
    double error = 0, power = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      const double d = static_cast<double>(found[i]) - static_cast<double>(reference[i]);
      error += d * d;
      power += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
    }
    EXPECT_GT(power, 0) << name;
    EXPECT_LT(std::sqrt(error / power), 1e-4) << name;
  }

  std::shared_ptr<const SafetensorsFile> golden_;
};

TEST_P(GradientGolden, StreamsAndLinears) {
  std::vector<TokenBlock> blocks;
  std::vector<int32_t> labels;
  for (const auto& prompt : testing::LoadGoldens(GetParam())) {
    if (blocks.size() == 2) break;
    const Tensor of_prompt = golden_->Get(Cat("labels_", blocks.size()));
    blocks.push_back(prompt.tokens);
    labels.insert(labels.end(), of_prompt.As<int32_t>(),
                  of_prompt.As<int32_t>() + of_prompt.shape()[0]);
  }
  const auto second = static_cast<int64_t>(blocks[0].size());
  Gradients model(GetParam(), blocks);
  model.Head(labels);
  const bool whole = golden_->Has("final_1");
  if (whole) ExpectRows("final_1", model.grad(), second);
  for (int64_t i = model.source().spec().num_layers(); i-- > 0;) model.Layer(i);
  ExpectRows("stream_0", model.grad(), 0);
  ExpectRows("stream_1", model.grad(), second);
  if (!whole) return;
  const std::vector<LinearShape> shapes = QuantizableLinears(model.source().spec(), 0);
  EXPECT_EQ(model.linears().size(), shapes.size());
  for (const LinearShape& shape : shapes) {
    const auto parts = ModuleParts(model.source().model(), 0, shape.id);
    const std::string module = model.source().names().Module(shape.id, 0);
    Tensor expected = golden_->Get(module);
    const int64_t rows = expected.shape()[0];
    const Tensor& found = model.linears().at(shape.id);
    ASSERT_EQ(found.shape()[1], shape.n);
    if (parts.size() > 1) {
      size_t part = 0;
      while (parts[part].id != shape.id) ++part;
      const FusedLinear& fused = *model.source().names().FusedOf(shape.id.role);
      expected = Transposed(TakePart(Transposed(expected), fused, RowsOf(parts), part));
    }
    ExpectClose(LinearName(shape.id), Part(found, second, second + rows), expected);
  }
}

TEST_P(GradientGolden, LossOfLabels) {
  const auto prompt = testing::LoadGoldens(GetParam())[0];
  const Tensor labels = golden_->Get("labels_0");
  const size_t vocab = prompt.logits.size() / prompt.tokens.size();
  double expected = 0;
  for (size_t t = 0; t < prompt.tokens.size(); ++t) {
    const float* row = prompt.logits.data() + t * vocab;
    double total = 0;
    for (size_t v = 0; v < vocab; ++v) total += std::exp(static_cast<double>(row[v]));
    expected += std::log(total) - static_cast<double>(row[labels.As<const int32_t>()[t]]);
  }
  Gradients model(GetParam(), {prompt.tokens});
  EXPECT_NEAR(model.Head(labels.Span<const int32_t>()), expected, 1e-4 * expected);
}

INSTANTIATE_TEST_SUITE_P(Tiny, GradientGolden, ::testing::ValuesIn(GoldenNames()),
                         [](const auto& info) { return info.param; });

constexpr HeadSlices kSmall{.logits = 1, .weight = 64 * 4 * 19};  // 16 rows; 19 rows of the head
constexpr int64_t kRows = 70;

TEST(HeadGradient, RowsAndSlicesDoNotMatter) {
  for (const char* name : {"llama_gqa_tied", "gemma2", "phi"}) {
    Gradients whole(name, {TokenBlock(kRows, 5)});
    Gradients parts(name, {TokenBlock(kRows, 5)});
    const double loss = whole.Head(7, 0, kRows);
    EXPECT_NEAR(parts.Head(7, 0, 33, kSmall) + parts.Head(7, 33, kRows, kSmall), loss, 1e-4 * loss);
    EXPECT_LT(testing::RelativeDifference(parts.grad().Span<const float>(),
                                          whole.grad().Span<const float>()),
              1e-5);
  }
}

// Under the model's own distribution the gradient's mean is 0, and labels of different seeds are
// independent.
TEST(HeadGradient, LabelsAreDrawnFromTheModel) {
  std::vector<TokenBlock> blocks(1, TokenBlock(kRows));
  for (size_t i = 0; i < blocks[0].size(); ++i) blocks[0][i] = static_cast<int32_t>(3 + i);
  Gradients model("llama_gqa_tied", blocks);
  std::vector<double> sum(static_cast<size_t>(model.grad().view().NumElements()));
  double squares = 0;
  constexpr int kDraws = 400;
  for (int seed = 0; seed < kDraws; ++seed) {
    model.Head(static_cast<uint64_t>(seed), 0, kRows);
    const auto grad = model.grad().Span<const float>();
    for (size_t i = 0; i < sum.size(); ++i) {
      sum[i] += static_cast<double>(grad[i]);
      squares += static_cast<double>(grad[i]) * static_cast<double>(grad[i]);
    }
  }
  double square_of_sum = 0;
  for (const double v : sum) square_of_sum += v * v;
  EXPECT_GT(squares, 0);
  EXPECT_NEAR(square_of_sum / squares, 1, 0.6);  // a mean would count kDraws times
}

TEST(UniformOf, IsUniform) {
  constexpr int64_t kCount = 100000;
  double sum = 0, squares = 0, product = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    const double u = UniformOf(3, i) - 0.5;
    ASSERT_LT(std::abs(u), 0.5 + 1e-15);
    sum += u;
    squares += u * u;
    product += u * (UniformOf(3, i + 1) - 0.5);
  }
  EXPECT_NEAR(sum / kCount, 0, 4e-3);
  EXPECT_NEAR(squares / kCount, 1.0 / 12, 1e-3);
  EXPECT_NEAR(product / kCount, 0, 1e-3);
  EXPECT_EQ(UniformOf(3, 4), UniformOf(3, 4));
  EXPECT_NE(UniformOf(3, 4), UniformOf(4, 4));
}

}  // namespace
}  // namespace awq
