#include "awq/base/expect.h"

#include <gtest/gtest.h>

#include "awq/base/testing.h"

namespace awq {
namespace {

TensorView View(const Shape& shape, DType type = DType::kF32) {
  return TensorView(nullptr, type, shape);
}

TEST(Dims, BindsOnFirstUseAndComparesAfterwards) {
  Dims d("linear");
  d.Expect("x", View({3, 64}), {"M", "K"});
  d.Expect("w", View({128, 64}), {"N", "K"});
  d.Expect("y", View({3, 128}), {"M", "N"});
  EXPECT_EQ(d["M"], 3);
  EXPECT_EQ(d["N"], 128);
  EXPECT_EQ(d["K"], 64);
  ExpectError(ErrorCode::kInternal, {"linear: z: expected [M=3, K=64], found [3, 65]"}, [&] {
    d.Expect("z", View({3, 65}), {"M", "K"});
  });
}

TEST(Dims, ALetterTwiceInOneTensorIsSquare) {
  Dims d("op");
  d.Expect("a", View({4, 4}), {"N", "N"});
  ExpectError(ErrorCode::kInternal, {"op: b"}, [] {
    Dims e("op");
    e.Expect("b", View({4, 5}), {"N", "N"});
  });
}

TEST(Dims, NumbersStandForThemselves) {
  Dims d("op");
  d.Expect("a", View({8, 2}), {"R", "2"});
  ExpectError(ErrorCode::kInternal, {"op: b: expected [R=8, 3=3], found [8, 2]"}, [&] {
    d.Expect("b", View({8, 2}), {"R", "3"});
  });
}

TEST(Dims, RankMustMatch) {
  for (const Shape& shape : {Shape{}, Shape{2}, Shape{2, 3, 1}}) {
    ExpectError(ErrorCode::kInternal, {"op: a: expected [A, B]", Cat("found ", shape)}, [&] {
      Dims d("op");
      d.Expect("a", View(shape), {"A", "B"});
    });
  }
  Dims d("op");
  d.Expect("scalar", View({}), {});
}

TEST(Dims, TypesMustMatchWhereGiven) {
  Dims d("op");
  d.Expect("any", View({2}, DType::kI64), {"A"});
  d.Expect("some", View({2}, DType::kBF16), {"A"}, {DType::kF32, DType::kBF16});
  ExpectError(ErrorCode::kInternal, {"op: x: expected F32 or BF16, found I32"}, [&] {
    d.Expect("x", View({2}, DType::kI32), {"A"}, {DType::kF32, DType::kBF16});
  });
}

TEST(Dims, UnboundLettersAreOurMistake) {
  const Dims d("op");
  ExpectError(ErrorCode::kInternal, {"op: unbound letter Q"}, [&] { (void)d["Q"]; });
}

}  // namespace
}  // namespace awq
