#include "awq/pack/quantized_weight.h"

#include <gtest/gtest.h>

#include <random>

namespace awq {
namespace {

TEST(QuantScheme, Groups) {
  const QuantScheme whole = {4, -1, false};
  EXPECT_EQ(whole.Groups(4096), 1);
  EXPECT_EQ(whole.GroupSize(4096), 4096);
  const QuantScheme grouped = {4, 128, false};
  EXPECT_EQ(grouped.Groups(4096), 32);
  EXPECT_EQ(grouped.Groups(4097), 33);
  EXPECT_EQ(grouped.GroupSize(4096), 128);
  EXPECT_EQ(grouped.MaxCode(), 15);
  EXPECT_EQ(grouped.MidCode(), 8);
  EXPECT_EQ((QuantScheme{8, 128, false}).MaxCode(), 255);
  EXPECT_EQ((QuantScheme{8, 128, false}).MidCode(), 128);
}

TEST(QuantizedWeight, CodesReadBackAndLeaveTheirNeighboursAlone) {
  for (const int bits : {4, 8}) {
    QuantizedWeight w = MakeQuantizedWeight({bits, 2, false}, 3, 6, DType::kF16);
    std::vector<int> expected(18, 0);
    std::mt19937 random(1);
    for (int step = 0; step < 500; ++step) {
      const auto i = static_cast<int64_t>(random() % 18);
      const int code = static_cast<int>(random()) & w.scheme.MaxCode();
      SetCode(w, i / 6, i % 6, code);
      expected[static_cast<size_t>(i)] = code;
      for (int64_t j = 0; j < 18; ++j)
        ASSERT_EQ(w.Code(j / 6, j % 6), expected[static_cast<size_t>(j)]);
    }
  }
}

TEST(QuantizedWeight, LowNibbleComesFirst) {
  QuantizedWeight w = MakeQuantizedWeight({4, -1, true}, 1, 4, DType::kF16);
  for (int i = 0; i < 4; ++i) SetCode(w, 0, i, i + 1);
  EXPECT_EQ(w.codes.As<uint8_t>()[0], 0x21);
  EXPECT_EQ(w.codes.As<uint8_t>()[1], 0x43);
}

TEST(QuantizedWeight, Dequantizes) {
  for (const DType type : {DType::kF16, DType::kBF16, DType::kF32}) {
    QuantizedWeight w = MakeQuantizedWeight({4, 2, false}, 2, 4, type);
    const float scales[] = {0.5f, 2.f, 0.25f, 1.f};
    const uint8_t zeros[] = {0, 15, 8, 3};
    for (int i = 0; i < 4; ++i) {
      StoreFloat(w.scales.view(), i, scales[i]);
      w.zeros.As<uint8_t>()[i] = zeros[i];
    }
    for (int64_t i = 0; i < 8; ++i) SetCode(w, i / 4, i % 4, static_cast<int>(2 * i));
    const Tensor dense = Dequantize(w);
    const float expected[] = {0.f, 1.f, -22.f, -18.f, 0.f, 0.5f, 9.f, 11.f};
    for (int i = 0; i < 8; ++i) EXPECT_EQ(dense.As<float>()[i], expected[i]) << i;
  }
}

TEST(QuantizedWeight, SymmetricStandsForTheMiddleCode) {
  for (const int bits : {4, 8}) {
    QuantizedWeight w = MakeQuantizedWeight({bits, -1, true}, 1, 2, DType::kF32);
    EXPECT_TRUE(w.zeros.empty());
    w.scales.As<float>()[0] = 2.f;
    SetCode(w, 0, 1, w.scheme.MaxCode());
    const Tensor dense = Dequantize(w);
    EXPECT_EQ(dense.As<float>()[0], -2.f * static_cast<float>(1 << (bits - 1)));
    EXPECT_EQ(dense.As<float>()[1], 2.f * static_cast<float>((1 << (bits - 1)) - 1));
  }
}

TEST(QuantizedWeight, RefusesOtherWidths) {
  EXPECT_THROW(MakeQuantizedWeight({3, 128, false}, 8, 128, DType::kF16), Error);
  EXPECT_THROW(MakeQuantizedWeight({4, -1, false}, 8, 7, DType::kF16), Error);
}

}  // namespace
}  // namespace awq
