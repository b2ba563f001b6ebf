#include "awq/base/tensor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "awq/base/testing.h"

namespace awq {
namespace {

Tensor Counting(const Shape& shape) {
  Tensor out = MakeTensor(DType::kF32, shape);
  std::iota(out.Span<float>().begin(), out.Span<float>().end(), 0.f);
  return out;
}

TEST(Shape, SizesAndText) {
  EXPECT_EQ(Shape{}.NumElements(), 1);
  EXPECT_EQ((Shape{3, 4}).NumElements(), 12);
  EXPECT_EQ((Shape{3, 0, 4}).NumElements(), 0);
  EXPECT_EQ(Cat(Shape{4096, 1376}), "[4096, 1376]");
  EXPECT_EQ(Cat(Shape{}), "[]");
  EXPECT_NE((Shape{1, 2}), (Shape{1, 2, 1}));
  EXPECT_NE((Shape{1, 2}), (Shape{2, 1}));
  const int64_t five[5] = {1, 1, 1, 1, 1};
  ExpectError(ErrorCode::kUnsupported, {"rank 5"}, [&] { (void)Shape(five); });
}

TEST(TensorView, DenseStridesAndBytes) {
  const TensorView v(nullptr, DType::kBF16, {2, 3, 4});
  EXPECT_EQ(v.strides, (Shape{12, 4, 1}));
  EXPECT_EQ(v.NumBytes(), 48);
  EXPECT_TRUE(v.IsContiguous());
  EXPECT_EQ(TensorView(nullptr, DType::kU4, {3, 5}).NumBytes(), 8);  // rounded up
  EXPECT_EQ(TensorView(nullptr, DType::kF64, {}).NumBytes(), 8);
}

TEST(TensorView, RowsShareTheMemory) {
  const Tensor t = Counting({5, 3});
  const TensorView rows = t.view().Rows(1, 4);
  EXPECT_EQ(rows.shape, (Shape{3, 3}));
  EXPECT_TRUE(rows.IsContiguous());
  EXPECT_EQ(rows.As<float>()[0], 3.f);
  rows.As<float>()[0] = -1.f;
  EXPECT_EQ(t.As<float>()[3], -1.f);
  EXPECT_EQ(t.view().Rows(5, 5).NumElements(), 0);
  ExpectError(ErrorCode::kInternal, {"rows [3, 6)", "[5, 3]"}, [&] { (void)t.view().Rows(3, 6); });
  ExpectError(ErrorCode::kInternal, {"rows"}, [&] { (void)t.view().Rows(4, 3); });
  ExpectError(ErrorCode::kInternal, {"rows"}, [] { (void)TensorView().Rows(0, 0); });
}

TEST(TensorView, ColumnsAreStrided) {
  const Tensor t = Counting({3, 4});
  const TensorView columns = t.view().Columns(1, 3);
  EXPECT_EQ(columns.shape, (Shape{3, 2}));
  EXPECT_FALSE(columns.IsContiguous());
  const Tensor copy = ConvertTo(columns, DType::kF32);
  const auto values = copy.Span<float>();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()),
            (std::vector<float>{1, 2, 5, 6, 9, 10}));
  EXPECT_TRUE(t.view().Columns(0, 4).IsContiguous());
  EXPECT_EQ(columns.Rows(1, 2).As<float>()[0], 5.f);
  ExpectError(ErrorCode::kInternal, {"columns [2, 5)"}, [&] { (void)t.view().Columns(2, 5); });
  const TensorView nibbles(t.view().data, DType::kU4, {2, 8});
  EXPECT_EQ(nibbles.Columns(4, 8).As<char>() - nibbles.As<char>(), 2);
  EXPECT_EQ(nibbles.Rows(1, 2).As<char>() - nibbles.As<char>(), 4);
}

TEST(TensorView, ReshapeNeedsTheSameElementsInARow) {
  const Tensor t = Counting({3, 4});
  EXPECT_EQ(t.view().Reshape({2, 6}).strides, (Shape{6, 1}));
  ExpectError(ErrorCode::kInternal, {"[3, 4]", "[5]"}, [&] { (void)t.view().Reshape({5}); });
  ExpectError(ErrorCode::kInternal, {"reshape"},
              [&] { (void)t.view().Columns(0, 2).Reshape({6}); });
}

TEST(Tensor, IsZeroedAndAligned) {
  for (const int64_t n : {0, 1, 7, 64, 1000}) {
    const Tensor t = MakeTensor(DType::kU8, {n});
    EXPECT_FALSE(t.empty());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.view().data) % 64, 0u);
    for (const uint8_t byte : t.Span<uint8_t>()) EXPECT_EQ(byte, 0);
  }
  EXPECT_TRUE(Tensor().empty());
}

TEST(Tensor, SharesOneAllocation) {
  auto guard = std::make_shared<int>(7);
  const std::weak_ptr<int> watch = guard;
  const TensorView view(guard.get(), DType::kI32, {1});
  Tensor first(view, std::move(guard));
  Tensor second = first.Share();
  first = Tensor();
  ASSERT_FALSE(watch.expired());
  EXPECT_EQ(*second.As<int>(), 7);
  second = Tensor();
  EXPECT_TRUE(watch.expired());
}

TEST(Conversion, EveryPairOfFloatTypes) {
  const float values[] = {0.f, -0.f, 1.f, -2.5f, 1.f / 3.f, 1e-6f, 65504.f, 1e30f};
  const auto rounded = [](float v, DType type) {
    if (type == DType::kF16) return RoundToF16(v);
    return type == DType::kBF16 ? Bf16ToFloat(FloatToBf16(v)) : v;
  };
  for (const DType from : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const DType to : {DType::kF32, DType::kF16, DType::kBF16}) {
      const Tensor source = MakeTensor(from, {8});
      for (int i = 0; i < 8; ++i) StoreFloat(source.view(), i, values[i]);
      const Tensor target = ConvertTo(source.view(), to);
      EXPECT_EQ(target.dtype(), to);
      for (int i = 0; i < 8; ++i) {
        EXPECT_EQ(LoadFloat(target.view(), i), rounded(rounded(values[i], from), to))
            << NameOf(from) << " to " << NameOf(to) << ": " << values[i];
      }
    }
  }
}

TEST(Conversion, ReadsDoublesAndRefusesIntegers) {
  const Tensor d = MakeTensor(DType::kF64, {1});
  *d.As<double>() = 0.1;
  EXPECT_EQ(LoadFloat(d.view(), 0), 0.1f);
  EXPECT_EQ(*ConvertTo(d.view(), DType::kF32).As<float>(), 0.1f);
  const Tensor i = MakeTensor(DType::kI32, {1});
  ExpectError(ErrorCode::kInternal, {"I32"}, [&] { (void)LoadFloat(i.view(), 0); });
  ExpectError(ErrorCode::kInternal, {"I32"}, [&] { StoreFloat(i.view(), 0, 1.f); });
  ExpectError(ErrorCode::kInternal, {"strided"}, [] {
    (void)ConvertTo(MakeTensor(DType::kF32, {2, 2, 2}).view().Columns(0, 1), DType::kF32);
  });
}

}  // namespace
}  // namespace awq
