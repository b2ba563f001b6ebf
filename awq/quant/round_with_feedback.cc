#include <algorithm>
#include <vector>

#include "awq/quant/rounding.h"

namespace awq {
namespace {

constexpr int64_t kBlock = 128;  // columns that share one product with all columns before them
constexpr int kLanes = 16;       // rows rounded side by side

// Rounds rows [row, row + kLanes) in the columns [begin, end) of the order, from the last to the
// first. With H = L·Lᵀ the error is Σ_k (Σ_{j≥k} e_j L_jk)², e = w* - ŵ: column k is best rounded
// from w*_k + Σ_{j>k} e_j L_jk / L_kk. carried [N, end - begin] holds the sum over j ≥ end.
void RoundRows(const Hessian& hessian, int64_t begin, int64_t end, const TensorView& carried,
               const TensorView& error, int64_t row, Rounding& rounding) {
  const int64_t k = rounding.k();
  const int64_t group = rounding.rule.scheme.GroupSize(k);
  const int64_t groups = rounding.rule.scheme.Groups(k);
  const int64_t width = end - begin;
  const auto rows = static_cast<int>(std::min<int64_t>(kLanes, rounding.n() - row));
  std::vector<float> sums(static_cast<size_t>(width * kLanes));
  for (int r = 0; r < rows; ++r) {
    const float* from = carried.As<const float>() + (row + r) * width;
    for (int64_t j = 0; j < width; ++j) sums[static_cast<size_t>(j * kLanes + r)] = from[j];
  }
  Grid grid;
  grid.max_code = static_cast<float>(rounding.rule.scheme.MaxCode());
  for (int64_t j = width - 1; j >= 0; --j) {
    const int64_t column = hessian.order[static_cast<size_t>(begin + j)];
    const float* factor = hessian.factor.As<const float>() + (begin + j) * k + begin;
    const float inverse = 1.0f / factor[j];
    float errors[kLanes] = {};
    for (int r = 0; r < rows; ++r) {
      const int64_t of = (row + r) * groups + column / group;
      grid.scale = rounding.scales.As<const float>()[of];
      grid.zero = rounding.zeros.As<const float>()[of];
      const float target = rounding.target.As<const float>()[(row + r) * k + column];
      const float step =
          NearestStep(grid, target + sums[static_cast<size_t>(j * kLanes + r)] * inverse);
      rounding.steps.As<float>()[(row + r) * k + column] = step;
      errors[r] = target - step * grid.scale;
      error.As<float>()[(row + r) * k + begin + j] = errors[r];
    }
    for (int64_t i = 0; i < j; ++i) {
      float* to = sums.data() + i * kLanes;
      for (int r = 0; r < kLanes; ++r) to[r] += errors[r] * factor[i];
    }
  }
}

}  // namespace

void RoundWithFeedback(Backend& backend, ThreadPool& pool, const Hessian& hessian,
                       Rounding& rounding) {
  const int64_t n = rounding.n();
  const int64_t k = rounding.k();
  const Tensor error = MakeTensor(DType::kF32, {n, k});  // columns in order
  const Tensor sums = MakeTensor(DType::kF32, {n, std::min(k, kBlock)});
  for (int64_t end = k; end > 0; end = (end - 1) / kBlock * kBlock) {
    const int64_t begin = (end - 1) / kBlock * kBlock;
    const TensorView carried(sums.view().data, DType::kF32, {n, end - begin});
    if (end < k) {
      backend.MatMul(error.view().Columns(end, k),
                     hessian.factor.view().Rows(end, k).Columns(begin, end), false, carried);
    } else {
      std::fill_n(carried.As<float>(), n * (end - begin), 0.0f);
    }
    pool.For((n + kLanes - 1) / kLanes, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        RoundRows(hessian, begin, end, carried, error.view(), i * kLanes, rounding);
      }
    });
  }
}

}  // namespace awq
