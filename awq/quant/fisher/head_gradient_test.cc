// Rows, slices and labels of HeadGradient.
#include "awq/quant/fisher/head_gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "awq/quant/fisher/testing/tiny_gradients.h"

namespace awq {
namespace {

using testing::TinyGradients;

constexpr HeadSlices kSmall{.logits = 1, .weight = 64 * 4 * 19};  // 16 rows; 19 rows of the head
constexpr int64_t kRows = 70;

TEST(HeadGradient, RowsAndSlicesDoNotMatter) {
  for (const char* name : {"llama_gqa_tied", "gemma2", "phi"}) {
    TinyGradients whole(name, {TokenBlock(kRows, 5)});
    TinyGradients parts(name, {TokenBlock(kRows, 5)});
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
  TinyGradients model("llama_gqa_tied", blocks);
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
