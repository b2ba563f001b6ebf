// Gradients of tiny models against PyTorch (tools/make_gradient_goldens.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "awq/checkpoint/fused_rows.h"
#include "awq/quant/fisher/testing/tiny_gradients.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

fs::path GoldenFolder() { return fs::path(AWQ_TESTDATA) / "gradients"; }

std::vector<std::string> GoldenNames() {
  std::vector<std::string> names;
  for (const auto& e : fs::directory_iterator(GoldenFolder())) {
    if (e.path().extension() == ".safetensors") names.push_back(e.path().stem().string());
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
  testing::TinyGradients model(GetParam(), blocks);
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
  testing::TinyGradients model(GetParam(), {prompt.tokens});
  EXPECT_NEAR(model.Head(labels.Span<const int32_t>()), expected, 1e-4 * expected);
}

INSTANTIATE_TEST_SUITE_P(Tiny, GradientGolden, ::testing::ValuesIn(GoldenNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace awq
