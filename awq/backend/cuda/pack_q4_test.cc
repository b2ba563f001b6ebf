#include "awq/backend/cuda/pack_q4.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <utility>

#include "awq/base/error.h"

namespace awq::cuda {
namespace {

QuantizedWeight RandomWeight(const QuantScheme& scheme, int64_t n, int64_t k, DType type,
                             float size) {
  std::mt19937 random(7);
  QuantizedWeight w = MakeQuantizedWeight(scheme, n, k, type);
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t c = 0; c < k; ++c) SetCode(w, r, c, static_cast<int>(random() % 16));
  }
  for (int64_t i = 0; i < w.scales.view().NumElements(); ++i) {
    StoreFloat(w.scales.view(), i, size * (1.0f + static_cast<float>(random() % 1000)));
    if (!scheme.symmetric) w.zeros.As<uint8_t>()[i] = static_cast<uint8_t>(random() % 16);
  }
  return w;
}

TEST(PackQ4, PlacesOfABlockAreAPermutation) {
  std::set<std::pair<int, int>> seen;
  for (int r = 0; r < kTileN; ++r) {
    for (int c = 0; c < kBlockK; ++c) {
      const CodePlace place = PlaceOfCode(r, c);
      EXPECT_TRUE(place.word >= 0 && place.word < kCodeBytes / 4);
      EXPECT_TRUE(place.shift >= 0 && place.shift < 32 && place.shift % 4 == 0);
      seen.emplace(place.word, place.shift);
    }
  }
  EXPECT_EQ(seen.size(), size_t{kTileN * kBlockK});
}

// A scale that is no number must not take the others out of the range of f16.
TEST(PackQ4, CommonScaleOfFiniteOnes) {
  QuantizedWeight w = RandomWeight({.bits = 4, .group = 128}, 16, 256, DType::kF16, 0x1p-14f);
  const float expected = CommonScale(w);
  for (const uint16_t bits : {uint16_t{0x7c00}, uint16_t{0xfe00}}) {  // infinity, NaN
    w.scales.view().As<uint16_t>()[0] = bits;
    EXPECT_EQ(CommonScale(w), expected);
  }
}

TEST(PackQ4, RoundTrip) {
  for (const int64_t group : {32, 64, 128, 256, -1}) {
    for (const bool symmetric : {false, true}) {
      for (const auto& [n, k] : {std::pair<int64_t, int64_t>{16, 128}, {37, 1024}, {5, 264}}) {
        const QuantScheme scheme{.bits = 4, .group = group, .symmetric = symmetric};
        const QuantizedWeight w = RandomWeight(scheme, n, k, DType::kF16, 0x1p-14f);
        const HostBlocks packed = PackQ4(w);
        EXPECT_EQ(packed.scale, 0x1p-16f);  // the largest is 1000 · 2^-14
        EXPECT_EQ(packed.shape.BlockBytes() % 16, 0);
        const Tensor expected = Dequantize(w);
        const Tensor found = Dequantize(UnpackQ4(packed));
        for (int64_t i = 0; i < n * k; ++i) {
          ASSERT_EQ(expected.As<float>()[i], found.As<float>()[i])
              << "N=" << n << " K=" << k << " group " << group << " element " << i;
        }
      }
    }
  }
}

TEST(PackQ4, PaddingIsZero) {
  const QuantScheme scheme{.bits = 4, .group = 32, .symmetric = false};
  const QuantizedWeight w = RandomWeight(scheme, 3, 40, DType::kF16, 1.0f);
  HostBlocks packed = PackQ4(w);
  packed.shape.n = 16;
  packed.shape.k = 128;
  const Tensor all = Dequantize(UnpackQ4(packed));
  for (int64_t r = 0; r < 16; ++r) {
    for (int64_t c = 0; c < 128; ++c) {
      if (r < 3 && c < 40) continue;
      EXPECT_EQ(all.As<float>()[r * 128 + c], 0.0f) << r << ", " << c;
    }
  }
}

TEST(PackQ4, Bf16ScalesOutsideTheRangeOfF16AreExact) {
  const QuantScheme scheme{.bits = 4, .group = 128, .symmetric = true};
  for (const float size : {0x1p-40f, 0x1p10f}) {
    const QuantizedWeight w = RandomWeight(scheme, 16, 256, DType::kBF16, size);
    const Tensor expected = Dequantize(w);
    const Tensor found = Dequantize(UnpackQ4(PackQ4(w)));
    for (int64_t i = 0; i < 16 * 256; ++i) {
      ASSERT_EQ(expected.As<float>()[i], found.As<float>()[i]) << i;
    }
  }
}

TEST(PackQ4, RefusesWhatNoKernelReads) {
  EXPECT_THROW(MakeQ4Shape({.bits = 8, .group = 128}, 16, 128), Error);
  EXPECT_THROW(MakeQ4Shape({.bits = 4, .group = 96}, 16, 192), Error);
  EXPECT_THROW(MakeQ4Shape({.bits = 4, .group = 32}, 16, 36), Error);
}

}  // namespace
}  // namespace awq::cuda
