// Feedback along the rows as well: with M = L·Lᵀ, rows are rounded from the last to the first of
// the order, each aiming at its target and what the errors of the rows before leave to be made up
// for; the same as along the columns (LDLQ with two Hessians: YAQA, arXiv:2505.22988).
#include <algorithm>
#include <numeric>

#include "awq/quant/moments.h"
#include "awq/quant/rounding.h"

namespace awq {
namespace {

constexpr int64_t kRows = 64;  // rounded side by side, as if independent of one another

Tensor TakeRows(const Tensor& from, std::span<const int64_t> rows) {
  const int64_t width = from.shape()[1];
  Tensor out = MakeTensor(DType::kF32, {static_cast<int64_t>(rows.size()), width});
  float* to = out.As<float>();
  for (const int64_t row : rows) to = std::copy_n(from.As<const float>() + row * width, width, to);
  return out;
}

// Rows of one block of the metric in the order of their weight, and its factor in that order.
struct RowOrder {
  std::vector<int64_t> rows;
  Tensor factor;  // lower Cholesky factor; empty: not positive definite
};

RowOrder OrderRows(Backend& backend, const TensorView& metric, const DiagonalBlock& block) {
  const TensorView m = ViewOf(metric, block);
  const auto at = [&](int64_t i, int64_t j) { return m.As<const float>()[i * m.strides[0] + j]; };
  const int64_t n = block.end - block.begin;
  RowOrder out;
  out.rows.resize(static_cast<size_t>(n));
  std::iota(out.rows.begin(), out.rows.end(), 0);
  std::stable_sort(out.rows.begin(), out.rows.end(),
                   [&](int64_t a, int64_t b) { return at(a, a) < at(b, b); });
  out.factor = MakeTensor(DType::kF32, {n, n});
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      out.factor.As<float>()[i * n + j] =
          at(out.rows[static_cast<size_t>(i)], out.rows[static_cast<size_t>(j)]);
    }
  }
  if (backend.Cholesky(out.factor.view()) >= 0) out.factor = {};
  for (int64_t& row : out.rows) row += block.begin;
  return out;
}

void RoundBlock(Backend& backend, ThreadPool& pool, const Hessian& hessian, const RowOrder& order,
                Rounding& rounding) {
  const auto n = static_cast<int64_t>(order.rows.size());
  const int64_t k = rounding.k();
  const Tensor errors = MakeTensor(DType::kF32, {n, k});  // rows in order
  for (int64_t end = n; end > 0; end -= std::min(end, kRows)) {
    const int64_t begin = std::max<int64_t>(end - kRows, 0);
    const std::span<const int64_t> rows(order.rows.data() + begin,
                                        static_cast<size_t>(end - begin));
    Rounding part;
    part.rule = rounding.rule;
    part.target = TakeRows(rounding.target, rows);
    part.scales = TakeRows(rounding.scales, rows);
    part.zeros = TakeRows(rounding.zeros, rows);
    part.steps = MakeTensor(DType::kF32, part.target.shape());
    Tensor own = ConvertTo(part.target.view(), DType::kF32);
    if (end < n) {
      const TensorView factor = order.factor.view().Rows(begin, n).Columns(begin, end);
      const Tensor lower = ConvertTo(factor.Rows(0, end - begin), DType::kF32);
      const Tensor weights = ConvertTo(factor.Rows(end - begin, n - begin), DType::kF32);
      backend.SolveTriangular(lower.view(), false, weights.view());
      backend.CrossGram(weights.view(), errors.view().Rows(end, n), part.target.view());
    }
    RoundWithFeedback(backend, pool, hessian, part);
    part.target = std::move(own);
    const Tensor error = RoundingError(pool, part);
    std::copy_n(error.As<const float>(), (end - begin) * k, errors.As<float>() + begin * k);
    const float* steps = part.steps.As<const float>();
    for (const int64_t row : rows) {
      std::copy_n(steps, k, rounding.steps.As<float>() + row * k);
      steps += k;
    }
  }
}

}  // namespace

void RoundBothWays(Backend& backend, ThreadPool& pool, const Hessian& hessian, Rounding& rounding) {
  if (rounding.metric.empty()) return RoundWithFeedback(backend, pool, hessian, rounding);
  for (const DiagonalBlock& block : DiagonalBlocks(rounding.metric.view())) {
    const RowOrder order = OrderRows(backend, rounding.metric.view(), block);
    if (order.factor.empty()) return RoundWithFeedback(backend, pool, hessian, rounding);
    RoundBlock(backend, pool, hessian, order, rounding);
  }
}

}  // namespace awq
