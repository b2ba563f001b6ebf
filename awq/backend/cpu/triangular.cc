// Cholesky factorisation and triangular solves, f32, by blocks of columns: nearly all arithmetic is
// in MatMul, what is left within a block in f64.
#include <cmath>
#include <vector>

#include "awq/backend/cpu/kernels.h"

namespace awq::cpu {
namespace {

constexpr int64_t kBlock = 128;

struct Columns {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// to -= a · op(b), through `product`, which is at least as large as `to`.
void SubtractProduct(Machine& machine, const TensorView& a, const TensorView& b, bool transpose_b,
                     const TensorView& to, const Tensor& product) {
  if (a.dim(1) == 0) return;
  const TensorView p(product.view().data, DType::kF32, to.shape);
  ExactMatMul(machine, a, b, transpose_b, p);
  const int64_t n = to.dim(1);
  machine.pool.For(to.dim(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* from = p.As<const float>() + r * n;
      float* row = to.As<float>() + r * to.strides[0];
      for (int64_t c = 0; c < n; ++c) row[c] -= from[c];
    }
  });
}

// A block of rows and columns of l in f64, dense.
std::vector<double> DiagonalBlock(const TensorView& l, Columns block) {
  std::vector<double> out(static_cast<size_t>(block.size() * block.size()));
  for (int64_t i = 0; i < block.size(); ++i) {
    const float* from = l.As<const float>() + (block.begin + i) * l.strides[0] + block.begin;
    for (int64_t j = 0; j <= i; ++j) out[static_cast<size_t>(i * block.size() + j)] = from[j];
  }
  return out;
}

// Solves x · lᵀ = b (transpose) or x · l = b for rows of `b` [N, n], l [n, n] lower.
void SolveBlock(Machine& machine, const std::vector<double>& l, bool transpose,
                const TensorView& b) {
  const int64_t n = b.dim(1);
  machine.pool.For(b.dim(0), 16, [&](int64_t begin, int64_t end) {
    std::vector<double> x(static_cast<size_t>(n));
    for (int64_t r = begin; r < end; ++r) {
      float* row = b.As<float>() + r * b.strides[0];
      for (int64_t c = 0; c < n; ++c) x[static_cast<size_t>(c)] = row[c];
      for (int64_t step = 0; step < n; ++step) {
        const int64_t c = transpose ? step : n - 1 - step;
        const double* of = l.data() + c * n;
        double& value = x[static_cast<size_t>(c)];
        if (transpose) {
          for (int64_t j = 0; j < c; ++j) value -= x[static_cast<size_t>(j)] * of[j];
          value /= of[c];
        } else {
          value /= of[c];
          for (int64_t j = 0; j < c; ++j) x[static_cast<size_t>(j)] -= value * of[j];
        }
      }
      for (int64_t c = 0; c < n; ++c) row[c] = static_cast<float>(x[static_cast<size_t>(c)]);
    }
  });
}

// In place; -1, or the first bad column.
int64_t FactorBlock(std::vector<double>& a, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = j; i < n; ++i) {
      double sum = a[static_cast<size_t>(i * n + j)];
      for (int64_t m = 0; m < j; ++m) {
        sum -= a[static_cast<size_t>(i * n + m)] * a[static_cast<size_t>(j * n + m)];
      }
      if (i == j && !(sum > 0)) return j;
      a[static_cast<size_t>(i * n + j)] =
          i == j ? std::sqrt(sum) : sum / a[static_cast<size_t>(j * n + j)];
    }
  }
  return -1;
}

}  // namespace

// Left-looking: each block of columns is brought up to date by one product with all before it.
int64_t Cholesky(Machine& machine, const TensorView& a) {
  const int64_t k = a.dim(0);
  const Tensor product = MakeTensor(DType::kF32, {k, std::min(k, kBlock)});
  for (int64_t begin = 0; begin < k; begin += kBlock) {
    const Columns block{begin, std::min(begin + kBlock, k)};
    const TensorView below = a.Rows(begin, k);
    SubtractProduct(machine, below.Columns(0, begin), a.Rows(begin, block.end).Columns(0, begin),
                    true, below.Columns(begin, block.end), product);
    std::vector<double> diagonal = DiagonalBlock(a, block);
    const int64_t bad = FactorBlock(diagonal, block.size());
    if (bad >= 0) return begin + bad;
    for (int64_t i = 0; i < block.size(); ++i) {
      float* to = a.As<float>() + (begin + i) * a.strides[0] + begin;
      for (int64_t j = 0; j <= i; ++j) {
        to[j] = static_cast<float>(diagonal[static_cast<size_t>(i * block.size() + j)]);
      }
    }
    if (block.end < k) {
      SolveBlock(machine, diagonal, true, a.Rows(block.end, k).Columns(begin, block.end));
    }
  }
  return -1;
}

void SolveTriangular(Machine& machine, const TensorView& l, bool transpose, const TensorView& b) {
  const int64_t k = l.dim(0);
  const int64_t blocks = (k + kBlock - 1) / kBlock;
  const Tensor product = MakeTensor(DType::kF32, {b.dim(0), std::min(k, kBlock)});
  for (int64_t step = 0; step < blocks; ++step) {
    const int64_t begin = (transpose ? step : blocks - 1 - step) * kBlock;
    const Columns block{begin, std::min(begin + kBlock, k)};
    const TensorView part = b.Columns(begin, block.end);
    if (transpose) {
      SubtractProduct(machine, b.Columns(0, begin), l.Rows(begin, block.end).Columns(0, begin),
                      true, part, product);
    } else {
      SubtractProduct(machine, b.Columns(block.end, k),
                      l.Rows(block.end, k).Columns(begin, block.end), false, part, product);
    }
    SolveBlock(machine, DiagonalBlock(l, block), transpose, part);
  }
}

}  // namespace awq::cpu
