// 16-bit floats against a slow definition: values as exact sums of powers of two, and rounding as
// the search for the nearest of all representable numbers.
#include "awq/base/dtype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace awq {
namespace {

// A float format by its field widths, defined by IEEE 754 alone.
struct Format {
  int exponent_bits;
  int mantissa_bits;

  int Bias() const { return (1 << (exponent_bits - 1)) - 1; }
  int InfinityBits() const { return ((1 << exponent_bits) - 1) << mantissa_bits; }
  // The exact value of finite non-negative bits.
  double Value(int bits) const {
    const int exponent = bits >> mantissa_bits;
    const int mantissa = bits & ((1 << mantissa_bits) - 1);
    if (exponent == 0) return std::ldexp(mantissa, 1 - Bias() - mantissa_bits);
    return std::ldexp(mantissa + (1 << mantissa_bits), exponent - Bias() - mantissa_bits);
  }
};

constexpr Format kHalf = {5, 10};
constexpr Format kBrain = {8, 7};
constexpr Format kE4m3 = {4, 3};
constexpr int kE4m3Nan = 0x7f;

// Nearest, ties to even, by looking through all finite values. One more step of the largest
// exponent stands for infinity, as IEEE rounds.
class Nearest {
 public:
  explicit Nearest(const Format& format) : format_(format) {
    for (int bits = 0; bits < format.InfinityBits(); ++bits) values_.push_back(format.Value(bits));
    const size_t last = values_.size() - 1;
    values_.push_back(2 * values_[last] - values_[last - 1]);
  }

  uint16_t operator()(float value) const {
    const int sign = std::signbit(value) ? 0x8000 : 0;
    const double magnitude = std::fabs(static_cast<double>(value));
    if (magnitude >= values_.back()) return static_cast<uint16_t>(sign | format_.InfinityBits());
    const auto above = std::lower_bound(values_.begin(), values_.end(), magnitude);
    auto bits = static_cast<int>(above - values_.begin());
    if (bits > 0) {
      const double up = *above - magnitude;
      const double down = magnitude - *(above - 1);
      if (down < up || (down == up && bits % 2 == 1)) --bits;
    }
    return static_cast<uint16_t>(sign | bits);
  }

 private:
  Format format_;
  std::vector<double> values_;
};

bool IsNan16(uint16_t bits, const Format& format) {
  return (bits & 0x7fff) > format.InfinityBits();
}

void ExpectDecodes(const Format& format, float (*decode)(uint16_t), uint16_t (*encode)(float)) {
  for (int i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float value = decode(bits);
    if (IsNan16(bits, format)) {
      ASSERT_TRUE(std::isnan(value)) << i;
      ASSERT_TRUE(IsNan16(encode(value), format)) << i;
      continue;
    }
    const int magnitude = i & 0x7fff;
    const double expected = magnitude == format.InfinityBits()
                                ? std::numeric_limits<double>::infinity()
                                : format.Value(magnitude);
    ASSERT_EQ(static_cast<double>(std::fabs(value)), expected) << i;
    ASSERT_EQ(std::signbit(value), (i & 0x8000) != 0) << i;
    ASSERT_EQ(encode(value), bits) << i;  // exact values come back, zeros with their sign
  }
}

TEST(Half, DecodesAndReencodesAllValues) { ExpectDecodes(kHalf, F16ToFloat, FloatToF16); }
TEST(Brain, DecodesAndReencodesAllValues) { ExpectDecodes(kBrain, Bf16ToFloat, FloatToBf16); }

// Around every representable value and every midpoint: the number itself and its f32 neighbours.
void ExpectRounds(const Format& format, uint16_t (*encode)(float)) {
  const Nearest nearest(format);
  const float infinity = std::numeric_limits<float>::infinity();
  const auto check = [&](float value) {
    if (!std::isfinite(value)) return;
    ASSERT_EQ(encode(value), nearest(value)) << value;
    ASSERT_EQ(encode(-value), nearest(-value)) << -value;
  };
  for (int bits = 0; bits < format.InfinityBits(); ++bits) {
    const double here = format.Value(bits);
    const double next = bits + 1 < format.InfinityBits() ? format.Value(bits + 1)
                                                         : 2 * here - format.Value(bits - 1);
    for (const double at : {here, (here + next) / 2}) {
      const auto value = static_cast<float>(at);
      check(value);
      check(std::nextafter(value, infinity));
      check(std::nextafter(value, -infinity));
    }
  }
  std::mt19937 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isnan(value)) check(value);
  }
  EXPECT_EQ(encode(infinity), format.InfinityBits());
  EXPECT_EQ(encode(-infinity), format.InfinityBits() | 0x8000);
  EXPECT_EQ(encode(std::numeric_limits<float>::max()), format.InfinityBits());
}

TEST(Half, RoundsToNearestEven) { ExpectRounds(kHalf, FloatToF16); }
TEST(Brain, RoundsToNearestEven) { ExpectRounds(kBrain, FloatToBf16); }

TEST(SixteenBits, NanStaysNan) {
  for (const uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu,
                              0x7f808000u, 0x7f800fffu}) {
    const float nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(IsNan16(FloatToF16(nan), kHalf)) << std::hex << bits;
    EXPECT_TRUE(IsNan16(FloatToBf16(nan), kBrain)) << std::hex << bits;
  }
}

TEST(E4m3, DecodesAndReencodesAllValues) {
  for (int i = 0; i < 0x100; ++i) {
    const float value = E4m3ToFloat(static_cast<uint8_t>(i));
    const int magnitude = i & 0x7f;
    ASSERT_EQ(FloatToE4m3(value), i);
    if (magnitude == kE4m3Nan) {
      ASSERT_TRUE(std::isnan(value)) << i;
      continue;
    }
    ASSERT_EQ(static_cast<double>(std::fabs(value)), kE4m3.Value(magnitude)) << i;
    ASSERT_EQ(std::signbit(value), i >= 0x80) << i;
  }
}

// Every value, every midpoint and their f32 neighbours, against a search through all values.
TEST(E4m3, RoundsToNearestEvenAndSaturates) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto check = [](float value) {
    const double magnitude = std::fabs(static_cast<double>(value));
    int best = 0;
    for (int bits = 1; bits < kE4m3Nan; ++bits) {
      const double gain =
          std::fabs(kE4m3.Value(best) - magnitude) - std::fabs(kE4m3.Value(bits) - magnitude);
      if (gain > 0 || (gain == 0 && bits % 2 == 0)) best = bits;
    }
    ASSERT_EQ(FloatToE4m3(value), best) << value;
    ASSERT_EQ(FloatToE4m3(-value), best | 0x80) << value;
  };
  for (int bits = 0; bits < kE4m3Nan; ++bits) {
    for (const double at : {kE4m3.Value(bits), (kE4m3.Value(bits) + kE4m3.Value(bits + 1)) / 2}) {
      const auto value = static_cast<float>(at);
      check(value);
      check(std::nextafter(value, infinity));
      if (value > 0) check(std::nextafter(value, -infinity));
    }
  }
  check(1e30f);
  EXPECT_EQ(FloatToE4m3(infinity), 0x7e);
}

TEST(Half, KnownValues) {
  EXPECT_EQ(FloatToF16(1.f), 0x3c00);
  EXPECT_EQ(FloatToF16(-2.f), 0xc000);
  EXPECT_EQ(FloatToF16(65504.f), 0x7bff);
  EXPECT_EQ(FloatToF16(65519.99f), 0x7bff);
  EXPECT_EQ(FloatToF16(65520.f), 0x7c00);
  EXPECT_EQ(FloatToF16(0x1p-24f), 0x0001);
  EXPECT_EQ(FloatToF16(0x1p-25f), 0x0000);  // a tie, to even
  EXPECT_EQ(RoundToF16(0.1f), 0x1.998p-4f);
}

TEST(DType, NamesAndSizes) {
  const std::vector<std::pair<DType, std::string_view>> all = {
      {DType::kF64, "F64"},        {DType::kF32, "F32"},   {DType::kF16, "F16"},
      {DType::kBF16, "BF16"},      {DType::kI64, "I64"},   {DType::kI32, "I32"},
      {DType::kI16, "I16"},        {DType::kI8, "I8"},     {DType::kU8, "U8"},
      {DType::kU4, "U4"},          {DType::kBool, "BOOL"}, {DType::kF8E4M3, "F8_E4M3"},
      {DType::kF8E5M2, "F8_E5M2"},
  };
  const std::vector<int> bits = {64, 32, 16, 16, 64, 32, 16, 8, 8, 4, 8, 8, 8};
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(NameOf(all[i].first), all[i].second);
    EXPECT_EQ(DTypeFromName(all[i].second), all[i].first);
    EXPECT_EQ(BitsOf(all[i].first), bits[i]) << all[i].second;
  }
  EXPECT_EQ(DTypeFromName("F4"), std::nullopt);
  EXPECT_EQ(DTypeFromName("f32"), std::nullopt);
  EXPECT_EQ(DTypeFromName(""), std::nullopt);
}

}  // namespace
}  // namespace awq
