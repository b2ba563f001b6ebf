// The same products on tiles and in f64. Where there are no tiles nothing is tested.
#include "awq/backend/cpu/tiles.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "awq/backend/cpu/kernels.h"
#include "awq/base/dtype.h"

namespace awq::cpu {
namespace {

std::vector<float> Values(int64_t count, uint32_t seed) {
  std::vector<float> out(static_cast<size_t>(count));
  for (float& v : out) {
    seed = seed * 1664525u + 1013904223u;
    v = static_cast<float>(seed >> 8) * 0x1p-24f - 0.5f;
  }
  return out;
}

struct Sizes {
  int64_t m, n, depth;
};

struct Side {
  std::vector<float> values;
  bool by_lane;  // [lanes, depth], else [depth, lanes]
  int64_t lanes, depth;

  Side(int64_t lanes, int64_t depth, bool by_lane, uint32_t seed)
      : values(Values(lanes * depth, seed)), by_lane(by_lane), lanes(lanes), depth(depth) {}
  double At(int64_t lane, int64_t k) const {
    return values[static_cast<size_t>(by_lane ? lane * depth + k : k * lanes + lane)];
  }
  TileOperand Operand() {
    const TensorView view(values.data(), DType::kF32,
                          by_lane ? Shape{lanes, depth} : Shape{depth, lanes});
    return by_lane ? TileOperand::Rows(view) : TileOperand::Columns(view);
  }
};

class Tiles : public testing::Test {
 protected:
  void SetUp() override {
    if (!TilesPay(machine_, 64, 64, 64)) GTEST_SKIP() << "no tiles on this machine";
  }

  // Root mean square of the error in parts of that of the product.
  static double Error(const TileTask& task, const Side& a, const Side& b, double before) {
    double error = 0, size = 0;
    for (int64_t i = 0; i < a.lanes; ++i) {
      for (int64_t j = task.upper ? i : 0; j < b.lanes; ++j) {
        double sum = before;
        for (int64_t k = 0; k < a.depth; ++k) sum += a.At(i, k) * b.At(j, k);
        error += std::pow(sum - static_cast<double>(task.c[i * task.c_stride + j]), 2);
        size += sum * sum;
      }
    }
    return std::sqrt(error / size);
  }

  ThreadPool pool_{3};
  Scratch scratch_;
  Machine machine_{pool_, scratch_, false};
};

TEST_F(Tiles, MultiplyWhateverTheLayout) {
  for (const Sizes s : {Sizes{33, 17, 37}, Sizes{64, 96, 64}, Sizes{1060, 40, 900}}) {
    for (const bool a_by_lane : {true, false}) {
      for (const bool b_by_lane : {true, false}) {
        Side a(s.m, s.depth, a_by_lane, 1), b(s.n, s.depth, b_by_lane, 2);
        for (const int parts : {2, 3}) {
          std::vector<float> c(static_cast<size_t>(s.m * s.n), NAN);
          const TileTask task{a.Operand(), b.Operand(), s.depth, c.data(), s.n, parts};
          TileProduct(machine_, task);
          EXPECT_LT(Error(task, a, b, 0), parts == 2 ? 6e-6 : 5e-7)
              << s.m << ' ' << a_by_lane << b_by_lane << ' ' << parts;
        }
      }
    }
  }
}

TEST_F(Tiles, AddAboveTheDiagonal) {
  Side x(600, 70, false, 3);
  std::vector<float> c(600 * 600, 2.0f);
  TileTask task{x.Operand(), x.Operand(), 70, c.data(), 600};
  task.add = task.upper = true;
  TileProduct(machine_, task);
  EXPECT_LT(Error(task, x, x, 2), 6e-6);
}

TEST_F(Tiles, ReadBf16Panels) {
  const int64_t m = 130, n = 40, depth = 50;
  Side a(m, depth, true, 4), b(n, depth, false, 5);
  for (float& v : b.values) v = Bf16ToFloat(FloatToBf16(v));
  std::vector<uint16_t> panels(3 * 16 * depth);
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t k = 0; k < depth; ++k) {
      panels[static_cast<size_t>(DensePlace(j, k, depth))] =
          FloatToBf16(static_cast<float>(b.At(j, k)));
    }
  }
  const std::vector<float> bias(n, 1.5f);
  std::vector<float> c(m * n);
  TileTask task{a.Operand(), {panels.data(), true, n, depth * 16, 1, 16}, depth, c.data(), n};
  task.bias = bias.data();
  task.parts = 3;
  TileProduct(machine_, task);
  EXPECT_LT(Error(task, a, b, 1.5), 2e-7);
}

TEST_F(Tiles, AreLeftAloneOnDemand) {
  Machine machine{pool_, scratch_, false, false};
  EXPECT_FALSE(TilesPay(machine, 64, 64, 64));
  Side a(64, 96, true, 8), b(64, 96, true, 9);
  std::vector<float> c(64 * 64);
  const TensorView x(a.values.data(), DType::kF32, {64, 96});
  const TensorView y(b.values.data(), DType::kF32, {64, 96});
  const TensorView z(c.data(), DType::kF32, {64, 64});
  MatMul(machine, x, y, true, z);
  EXPECT_LT(Error({a.Operand(), b.Operand(), 96, c.data(), 64}, a, b, 0), 2e-7);
}

TEST_F(Tiles, PassOnWhatIsNotFinite) {
  Side a(32, 32, true, 6), b(32, 32, true, 7);
  a.values[5] = INFINITY;
  std::vector<float> c(32 * 32);
  TileProduct(machine_, {a.Operand(), b.Operand(), 32, c.data(), 32});
  EXPECT_FALSE(std::isfinite(c[0]));
  EXPECT_TRUE(std::isfinite(c[32]));
}

}  // namespace
}  // namespace awq::cpu
