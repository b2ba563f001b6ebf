#include "awq/quant/moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <utility>

#include "awq/backend/make_backend.h"
#include "awq/base/testing.h"

namespace awq {
namespace {

// The largest error of an entry against the sum in f64, relative to the norms of its two columns.
class GramAccuracy : public ::testing::Test {
 protected:
  static constexpr int64_t kTokens = 40000;
  static constexpr int64_t kPiece = 2048;
  static constexpr int64_t kColumns = 32;

  GramAccuracy() : x_(MakeTensor(DType::kF32, {kTokens, kColumns})) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (int64_t t = 0; t < kTokens; ++t) {
      // As behind the first token of a block: one in 512 is a thousand times louder. All have a
      // mean, so that the sums grow.
      const float loud = t % 512 == 0 ? 1000.0f : 1.0f;
      for (int64_t c = 0; c < kColumns; ++c) {
        x_.As<float>()[t * kColumns + c] = loud * (0.5f + normal(random));
      }
    }
    exact_.resize(static_cast<size_t>(kColumns * kColumns));
    for (int64_t t = 0; t < kTokens; ++t) {
      const float* row = x_.As<float>() + t * kColumns;
      for (int64_t i = 0; i < kColumns; ++i) {
        for (int64_t j = 0; j < kColumns; ++j) {
          exact_[static_cast<size_t>(i * kColumns + j)] +=
              static_cast<double>(row[i]) * static_cast<double>(row[j]);
        }
      }
    }
  }

  double Error(const float* gram) const {
    double worst = 0;
    for (int64_t i = 0; i < kColumns; ++i) {
      for (int64_t j = 0; j < kColumns; ++j) {
        const auto at = [&](int64_t a, int64_t b) {
          return exact_[static_cast<size_t>(a * kColumns + b)];
        };
        const double scale = std::sqrt(at(i, i) * at(j, j));
        worst = std::max(worst,
                         std::abs(static_cast<double>(gram[i * kColumns + j]) - at(i, j)) / scale);
      }
    }
    return worst;
  }

  Tensor x_;
  std::vector<double> exact_;
};

TEST_F(GramAccuracy, PiecesOfBlockedSums) {
  const auto backend = MakeBackend("cpu", 2);
  const Tensor gram = MakeTensor(DType::kF32, {kColumns, kColumns});
  std::vector<float> plain(static_cast<size_t>(kColumns * kColumns));
  for (int64_t t = 0; t < kTokens; t += kPiece) {
    backend->Gram(x_.view().Rows(t, std::min(t + kPiece, kTokens)), gram.view());
  }
  for (int64_t t = 0; t < kTokens; ++t) {
    const float* row = x_.As<float>() + t * kColumns;
    for (int64_t i = 0; i < kColumns * kColumns; ++i) {
      plain[static_cast<size_t>(i)] += row[i / kColumns] * row[i % kColumns];
    }
  }
  const double blocked = Error(gram.As<float>());
  const double one_by_one = Error(plain.data());
  RecordProperty("blocked", std::to_string(blocked));
  RecordProperty("one_by_one", std::to_string(one_by_one));
  EXPECT_LT(blocked, 5e-7);
  EXPECT_LT(3 * blocked, one_by_one);
}

TEST(GramLosses, OfEachRow) {
  const auto backend = MakeBackend("cpu", 1);
  const Tensor delta = MakeTensor(DType::kF32, {2, 2});
  const Tensor gram = MakeTensor(DType::kF32, {2, 2});
  const float d[] = {1, 2, 0, 3};
  const float g[] = {2, 1, 1, 4};
  std::copy(d, d + 4, delta.As<float>());
  std::copy(g, g + 4, gram.As<float>());
  EXPECT_EQ(GramLosses(*backend, delta.view(), gram.view()), (std::vector<double>{22, 36}));
  EXPECT_EQ(GramLoss(*backend, delta.view(), gram.view()), 58);
}

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

TEST(CheckFinite, NamesLayerAndSite) {
  SiteMoments moments = WeightOnlyMoments(4, 9);
  EXPECT_NO_THROW(CheckFinite(3, Role::kO, moments));
  moments.drift = MakeTensor(DType::kF32, {4, 4});
  for (float& v : moments.drift.Span<float>()) v = 0;
  EXPECT_NO_THROW(CheckFinite(3, Role::kO, moments));
  for (Tensor* t : {&moments.drift, &moments.gram}) {
    const float before = std::exchange(t->As<float>()[7], INFINITY);
    ExpectError(ErrorCode::kCorrupt, {"layer 3: o:", "not finite"},
                [&] { CheckFinite(3, Role::kO, moments); });
    t->As<float>()[7] = before;
  }
}

}  // namespace
}  // namespace awq
