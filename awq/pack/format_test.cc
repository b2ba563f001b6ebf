// Every pack format: bytes against the reference packers' check sums, round trips over shapes and
// schemes, and refusals.
#include "awq/pack/format.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <set>

#include "awq/base/testing.h"
#include "awq/pack/format/layout.h"

namespace awq {
namespace {

// As zlib's crc32(), bit by bit.
uint32_t Crc32(const void* data, size_t bytes) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < bytes; ++i) {
    crc ^= static_cast<const uint8_t*>(data)[i];
    for (int b = 0; b < 8; ++b) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0u);
  }
  return ~crc;
}
uint32_t Crc32(const Tensor& t) {
  return Crc32(t.view().data, static_cast<size_t>(t.view().NumBytes()));
}

class Parts : public TensorLookup {
 public:
  Parts() = default;
  explicit Parts(std::vector<NamedTensor> list) {
    for (NamedTensor& t : list) map[t.name] = std::move(t.tensor);
  }
  Tensor Find(const std::string& name) const override {
    const auto it = map.find(name);
    return it == map.end() ? Tensor() : it->second.Share();
  }
  std::map<std::string, Tensor> map;
};

const PackFormat& Awq() { return PackFormatByName("awq_gemm"); }
const PackFormat& Ct() { return PackFormatByName("compressed-tensors"); }

// The common test vector of the reference packers.
QuantizedWeight CommonVector() {
  const int64_t k = 128, n = 64, g = 64;
  QuantizedWeight w = MakeQuantizedWeight({4, g, false}, n, k, DType::kF16);
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t c = 0; c < k; ++c) {
      SetCode(w, r, c, static_cast<int>((7 * c + 3 * r + r / 16) % 16));
    }
    for (int64_t j = 0; j < k / g; ++j) {
      w.zeros.As<uint8_t>()[r * 2 + j] = static_cast<uint8_t>((5 * j + 3 * r) % 16);
      StoreFloat(w.scales.view(), r * 2 + j, std::ldexp(1.f, -static_cast<int>(4 + (j + r) % 4)));
    }
  }
  return w;
}

QuantizedWeight RandomWeight(const QuantScheme& scheme, int64_t n, int64_t k, DType scale_type,
                             uint32_t seed) {
  std::mt19937 random(seed);
  QuantizedWeight w = MakeQuantizedWeight(scheme, n, k, scale_type);
  const auto code = [&] {
    return static_cast<int>(random() & static_cast<uint32_t>(scheme.MaxCode()));
  };
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t c = 0; c < k; ++c) SetCode(w, r, c, code());
  }
  for (int64_t i = 0; i < w.scales.view().NumElements(); ++i) {
    StoreFloat(w.scales.view(), i, 1e-3f + static_cast<float>(random() % 1000) * 1e-4f);
    if (!scheme.symmetric) w.zeros.As<uint8_t>()[i] = static_cast<uint8_t>(code());
  }
  return w;
}

void ExpectSame(const Tensor& a, const Tensor& b, const char* what) {
  ASSERT_EQ(a.empty(), b.empty()) << what;
  if (a.empty()) return;
  ASSERT_EQ(a.dtype(), b.dtype()) << what;
  ASSERT_EQ(a.shape(), b.shape()) << what;
  EXPECT_EQ(std::memcmp(a.view().data, b.view().data, static_cast<size_t>(a.view().NumBytes())), 0)
      << what;
}

void ExpectSame(const QuantizedWeight& a, const QuantizedWeight& b) {
  EXPECT_EQ(a.scheme, b.scheme);
  ExpectSame(a.codes, b.codes, "codes");
  ExpectSame(a.scales, b.scales, "scales");
  ExpectSame(a.zeros, b.zeros, "zeros");
}

TEST(Layout, WorkedWords) {
  const auto awq_word = [](std::array<uint32_t, 8> codes) {
    uint32_t word = 0;
    for (int64_t n = 0; n < 8; ++n) {
      word |= codes[static_cast<size_t>(n)] << AwqGemmField(n, 0, 8).shift;
    }
    return word;
  };
  EXPECT_EQ(awq_word({0, 1, 2, 3, 4, 5, 6, 7}), 0x75316420u);
  EXPECT_EQ(awq_word({15, 0, 1, 2, 8, 7, 9, 3}), 0x3720981fu);
  const std::array<int, 8> order = {0, 2, 4, 6, 1, 3, 5, 7};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(AwqGemmOutput(i), order[static_cast<size_t>(i)]);
    EXPECT_EQ(AwqGemmNibble(AwqGemmOutput(i)), i);
  }
  EXPECT_EQ(AwqGemmField(17, 3, 24).word, 3 * 3 + 2);

  const std::array<int, 8> values = {-8, -7, -1, 0, 1, 6, 7, 3};
  uint32_t word = 0;
  for (int64_t k = 0; k < 8; ++k) {
    word |= static_cast<uint32_t>(values[static_cast<size_t>(k)] + 8)
            << PackQuantizedCode(0, k, 8, 4).shift;
  }
  EXPECT_EQ(word, 0xbfe98710u);
  EXPECT_EQ(PackQuantizedCode(3, 9, 20, 4).word, 3 * 3 + 1);
  EXPECT_EQ(PackQuantizedCode(3, 9, 20, 8).word, 3 * 5 + 2);
  EXPECT_EQ(PackQuantizedZero(9, 1, 3, 4).word, 1 * 3 + 1);
  EXPECT_EQ(PackQuantizedZero(9, 1, 3, 4).shift, 4);
}

TEST(Layout, FieldsCoverTheirWordsOnce) {
  const int64_t n = 24, k = 16;
  std::set<std::pair<int64_t, int>> seen;
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t c = 0; c < k; ++c) {
      const BitField at = AwqGemmField(r, c, n);
      EXPECT_TRUE(seen.emplace(at.word, at.shift).second);
      EXPECT_LT(at.word, k * n / 8);
    }
  }
  EXPECT_EQ(seen.size(), size_t{n * k});
}

TEST(AwqGemm, MatchesTheReferencePacker) {
  const Parts parts(Awq().Pack(CommonVector(), "l", DType::kF16));
  const Tensor qweight = parts.Find("l.qweight");
  EXPECT_EQ(qweight.shape(), (Shape{128, 8}));
  EXPECT_EQ(Crc32(qweight), 0x3bb8f50au);
  EXPECT_EQ(qweight.As<uint32_t>()[0], 0x5f932c60u);
  EXPECT_EQ(qweight.As<uint32_t>()[1], 0xd71ba4e8u);
  const Tensor qzeros = parts.Find("l.qzeros");
  EXPECT_EQ(qzeros.shape(), (Shape{2, 8}));
  EXPECT_EQ(Crc32(qzeros), 0x4dc76b97u);
  const Tensor scales = parts.Find("l.scales");
  EXPECT_EQ(scales.shape(), (Shape{2, 64}));
  EXPECT_EQ(Crc32(scales), 0xf218a670u);
  EXPECT_EQ(parts.map.size(), 3u);
}

TEST(CompressedTensors, MatchesTheReferencePacker) {
  const Parts parts(Ct().Pack(CommonVector(), "l", DType::kF16));
  EXPECT_EQ(Crc32(parts.Find("l.weight_packed")), 0x1ca80b10u);
  EXPECT_EQ(parts.Find("l.weight_packed").As<uint32_t>()[0], 0x1a3c5e70u);
  EXPECT_EQ(Crc32(parts.Find("l.weight_zero_point")), 0xd930336cu);
  EXPECT_EQ(parts.Find("l.weight_zero_point").shape(), (Shape{8, 2}));
  EXPECT_EQ(Crc32(parts.Find("l.weight_scale")), 0x1f5d6abeu);
  const Tensor shape = parts.Find("l.weight_shape");
  EXPECT_EQ(shape.As<int64_t>()[0], 64);
  EXPECT_EQ(shape.As<int64_t>()[1], 128);
}

TEST(CompressedTensors, ZeroPointsOfFiveRowsAreOneWord) {
  QuantizedWeight w = RandomWeight({4, 32, false}, 5, 32, DType::kF16, 1);
  const std::array<int, 5> zeros = {-8, -7, 0, 7, 3};
  for (size_t i = 0; i < 5; ++i) w.zeros.As<uint8_t>()[i] = static_cast<uint8_t>(zeros[i] + 8);
  const Parts parts(Ct().Pack(w, "l", DType::kF16));
  ASSERT_EQ(parts.Find("l.weight_zero_point").shape(), (Shape{1, 1}));
  EXPECT_EQ(*parts.Find("l.weight_zero_point").As<uint32_t>(), 0x000bf810u);
}

TEST(Formats, DequantizeToTheReferenceWeight) {
  for (const auto& format : PackFormats()) {
    const Parts parts(format->Pack(CommonVector(), "l", DType::kF16));
    const QuantizedWeight w = format->Unpack(parts, "l", {4, 64, false}, 64, 128);
    EXPECT_EQ(Crc32(ConvertTo(Dequantize(w).view(), DType::kF16)), 0x7917e3dbu) << format->Name();
  }
}

// Each packed tensor against the index functions, one code at a time: the fast paths know nothing
// else.
TEST(AwqGemm, EveryCodeIsWhereTheLayoutSays) {
  for (const auto& [n, k] :
       {std::pair<int64_t, int64_t>{8, 8}, {136, 136}, {264, 128}, {56, 392}}) {
    const QuantizedWeight w = RandomWeight({4, 8, false}, n, k, DType::kF16, 7);
    const Parts parts(Awq().Pack(w, "l", DType::kF16));
    const auto qweight = parts.Find("l.qweight");
    const auto qzeros = parts.Find("l.qzeros");
    for (int64_t r = 0; r < n; ++r) {
      for (int64_t c = 0; c < k; ++c) {
        const BitField at = AwqGemmField(r, c, n);
        ASSERT_EQ((qweight.As<uint32_t>()[at.word] >> at.shift) & 15, w.Code(r, c))
            << r << ' ' << c;
      }
      for (int64_t g = 0; g < k / 8; ++g) {
        const BitField at = AwqGemmField(r, g, n);
        ASSERT_EQ((qzeros.As<uint32_t>()[at.word] >> at.shift) & 15, w.Zero(r, g)) << r << ' ' << g;
      }
    }
  }
}

TEST(AwqGemm, RoundTrips) {
  for (const int64_t group : {8, 32, 64, 128}) {
    for (const int64_t n : {8, 64, 128, 136, 400}) {
      for (const int64_t k : {group, 3 * group, 8 * group}) {
        SCOPED_TRACE(Cat("N=", n, " K=", k, " g=", group));
        const QuantScheme scheme = {4, group, false};
        const QuantizedWeight w =
            RandomWeight(scheme, n, k, DType::kF16, static_cast<uint32_t>(n + k));
        const Parts parts(Awq().Pack(w, "a.b", DType::kBF16));
        ExpectSame(w, Awq().Unpack(parts, "a.b", scheme, n, k));
      }
    }
  }
}

TEST(CompressedTensors, RoundTrips) {
  for (const int bits : {4, 8}) {
    for (const bool symmetric : {false, true}) {
      for (const int64_t group : {-1, 32, 64, 128}) {
        for (const int64_t n : {1, 5, 8, 67}) {
          for (const int64_t groups : {1, 3}) {
            const int64_t k = group < 0 ? 34 * groups : group * groups;
            SCOPED_TRACE(Cat("N=", n, " K=", k, " g=", group, " bits=", bits, " sym=", symmetric));
            const QuantScheme scheme = {bits, group, symmetric};
            const QuantizedWeight w =
                RandomWeight(scheme, n, k, DType::kBF16, static_cast<uint32_t>(n + k + bits));
            const Parts parts(Ct().Pack(w, "a.b", DType::kBF16));
            EXPECT_EQ(parts.map.contains("a.b.weight_zero_point"), !symmetric);
            for (int64_t r = 0; r < n; ++r) {
              for (int64_t c = 0; c < k; ++c) {
                const BitField at = PackQuantizedCode(r, c, k, bits);
                const uint32_t word = parts.map.at("a.b.weight_packed").As<uint32_t>()[at.word];
                ASSERT_EQ((word >> at.shift) & scheme.MaxCode(), w.Code(r, c));
              }
            }
            ExpectSame(w, Ct().Unpack(parts, "a.b", scheme, n, k));
          }
        }
      }
    }
  }
}

TEST(CompressedTensors, ReadsUnpackedZeroPointsOfOldReleases) {
  const QuantScheme scheme = {4, 32, false};
  const QuantizedWeight w = RandomWeight(scheme, 5, 64, DType::kF16, 3);
  Parts parts(Ct().Pack(w, "l", DType::kF16));
  Tensor zeros = MakeTensor(DType::kI8, {5, 2});
  for (int i = 0; i < 10; ++i) {
    zeros.As<int8_t>()[i] = static_cast<int8_t>(w.zeros.As<uint8_t>()[i] - 8);
  }
  parts.map["l.weight_zero_point"] = std::move(zeros);
  ExpectSame(w, Ct().Unpack(parts, "l", scheme, 5, 64));
}

TEST(AwqGemm, SymmetricIsWrittenWithZerosOfEight) {
  const QuantizedWeight w = RandomWeight({4, 32, true}, 16, 64, DType::kF16, 5);
  const Parts parts(Awq().Pack(w, "l", DType::kF16));
  for (const uint32_t word : parts.Find("l.qzeros").Span<uint32_t>()) EXPECT_EQ(word, 0x88888888u);
  ExpectSame(w, Awq().Unpack(parts, "l", {4, 32, true}, 16, 64));
  const QuantizedWeight read = Awq().Unpack(parts, "l", {4, 32, false}, 16, 64);
  ExpectSame(Dequantize(w), Dequantize(read), "weights");
}

TEST(Formats, TensorsComeSortedByName) {
  for (const auto& format : PackFormats()) {
    const auto parts = format->Pack(CommonVector(), "l", DType::kF16);
    for (size_t i = 1; i < parts.size(); ++i) EXPECT_LT(parts[i - 1].name, parts[i].name);
  }
}

TEST(Formats, ScalesThatDoNotFitAreRefused) {
  for (const float scale : {1e9f, 1e-20f}) {
    QuantizedWeight w = RandomWeight({4, 32, false}, 8, 32, DType::kF32, 5);
    w.scales.As<float>()[3] = scale;
    ExpectError(ErrorCode::kUnsupported, {"l.scales", "F16"},
                [&] { (void)Awq().Pack(w, "l", DType::kF16); });
    (void)Ct().Pack(w, "l", DType::kBF16);  // fits
  }
}

TEST(Formats, MissingAndMisshapenPartsAreNamed) {
  for (const auto& format : PackFormats()) {
    const QuantScheme scheme = {4, 64, false};
    for (const NamedTensor& part : format->Pack(CommonVector(), "m.l", DType::kF16)) {
      Parts parts(format->Pack(CommonVector(), "m.l", DType::kF16));
      const auto unpack = [&] { (void)format->Unpack(parts, "m.l", scheme, 64, 128); };
      if (part.name != "m.l.weight_shape") {  // which tells nothing new
        parts.map.erase(part.name);
        ExpectError(ErrorCode::kNotFound, {part.name}, unpack);
      }
      Shape wrong = part.tensor.shape();
      wrong[0] += 1;
      parts.map[part.name] = MakeTensor(part.tensor.dtype(), wrong);
      ExpectError(ErrorCode::kCorrupt, {part.name, Cat(part.tensor.shape()), Cat(wrong)}, unpack);
      parts.map[part.name] = MakeTensor(DType::kF64, part.tensor.shape());
      ExpectError(ErrorCode::kCorrupt, {part.name, "F64"}, unpack);
    }
  }
}

TEST(CompressedTensors, AShapeThatDisagreesIsRefused) {
  Parts parts(Ct().Pack(CommonVector(), "l", DType::kF16));
  parts.map["l.weight_shape"].As<int64_t>()[1] = 127;
  ExpectError(ErrorCode::kCorrupt, {"[64, 127]"}, [&] {
    (void)Ct().Unpack(parts, "l", {4, 64, false}, 64, 128);
  });
}

TEST(CompressedTensors, ActivationOrderIsRefused) {
  Parts parts(Ct().Pack(CommonVector(), "l", DType::kF16));
  parts.map["l.weight_g_idx"] = MakeTensor(DType::kI32, {128});
  ExpectError(ErrorCode::kUnsupported, {"weight_g_idx"}, [&] {
    (void)Ct().Unpack(parts, "l", {4, 64, false}, 64, 128);
  });
}

TEST(Formats, ChecksNameTheReasonAndTheCure) {
  const auto refuses = [](const PackFormat& f, const QuantScheme& s, int64_t n, int64_t k,
                          std::string_view part) {
    ExpectError(ErrorCode::kUnsupported, {"a.b", part}, [&] { f.Check(s, n, k, "a.b"); });
  };
  refuses(Awq(), {4, -1, false}, 64, 128, "group size");
  refuses(Awq(), {4, 4, false}, 64, 128, "group size");
  refuses(Awq(), {4, 128, false}, 60, 128, "not 60");
  refuses(Awq(), {4, 128, false}, 64, 192, "192 inputs");
  refuses(Awq(), {8, 128, false}, 64, 128, "compressed-tensors");
  refuses(Ct(), {4, 128, false}, 64, 192, "192 inputs");
  refuses(Ct(), {4, -1, false}, 64, 33, "33");
  refuses(Ct(), {3, 128, false}, 64, 128, "3-bit");
  refuses(Ct(), {4, 0, false}, 64, 128, "group size 0");
  Awq().Check({4, 128, false}, 64, 256, "a.b");
  Ct().Check({8, -1, true}, 3, 33, "a.b");
}

}  // namespace
}  // namespace awq
