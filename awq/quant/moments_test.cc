#include "awq/quant/moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "awq/backend/make_backend.h"

namespace awq {
namespace {

Tensor Random(const Shape& shape, uint32_t seed) {
  Tensor out = MakeTensor(DType::kF32, shape);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (float& v : out.Span<float>()) v = normal(random);
  return out;
}

// Blocks of 16, 16 and 8 columns against the whole matrix with everything else zero.
TEST(MomentBlocks, AreThePartsOfTheWholeMatrix) {
  const auto backend = MakeBackend("cpu", 1);
  constexpr int64_t kK = 40;
  const Tensor x = Random({50, kK}, 1);
  const Tensor y = Random({50, kK}, 2);
  const Tensor delta = Random({7, kK}, 3);
  std::vector<float> a(kK);
  for (size_t i = 0; i < a.size(); ++i) a[i] = 0.5f + 0.1f * static_cast<float>(i);
  for (const bool symmetric : {true, false}) {
    SCOPED_TRACE(symmetric);
    const TensorView right = symmetric ? x.view() : y.view();
    const Tensor whole = MakeMoments(*backend, kK, 0);
    const Tensor blocks = MakeMoments(*backend, kK, 16);
    EXPECT_EQ(whole.shape(), (Shape{kK, kK}));
    EXPECT_EQ(blocks.shape(), (Shape{kK, 16}));
    AddMoments(*backend, x.view(), right, whole.view());
    AddMoments(*backend, x.view(), right, blocks.view());
    const Tensor cut = ConvertTo(whole.view(), DType::kF32);
    for (int64_t i = 0; i < kK; ++i) {
      for (int64_t j = 0; j < kK; ++j) {
        if (i / 16 != j / 16) cut.As<float>()[i * kK + j] = 0;
      }
    }
    for (const DiagonalBlock& block : DiagonalBlocks(blocks.view())) {
      const TensorView view = ViewOf(blocks.view(), block);
      for (int64_t i = block.begin; i < block.end; ++i) {
        for (int64_t j = block.begin; j < block.end; ++j) {
          const float found =
              view.As<float>()[(i - block.begin) * view.strides[0] + j - block.begin];
          EXPECT_NEAR(found, whole.As<float>()[i * kK + j], 1e-4);
        }
      }
    }
    const TensorView part = PartOf(blocks.view(), 20, 24);
    EXPECT_NEAR(part.As<float>()[part.strides[0] + 2], whole.As<float>()[21 * kK + 22], 1e-4);
    const double expected = GramLoss(*backend, delta.view(), cut.view());
    EXPECT_NEAR(GramLoss(*backend, delta.view(), blocks.view()), expected,
                1e-5 * std::abs(expected) + 1e-3);
    const Tensor scaled = ScaleGram(blocks.view(), a);
    const Tensor scaled_cut = ScaleGram(cut.view(), a);
    EXPECT_NEAR(GramLoss(*backend, delta.view(), scaled.view()),
                GramLoss(*backend, delta.view(), scaled_cut.view()), 1);
  }
}

}  // namespace
}  // namespace awq
