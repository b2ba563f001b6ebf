#include <algorithm>
#include <vector>

#include "awq/quant/rounding.h"

namespace awq {
namespace {

constexpr int64_t kBlock = 128;
constexpr int kLanes = 16;

// One pass over the columns [begin, end) of rows [row, row + kLanes). slope [N, end - begin] is
// E·H there; with all other codes fixed, ŵ_j + (E·H)_j / H_jj is the best real value of column j.
void DescendRows(const Hessian& hessian, int64_t begin, int64_t end, const TensorView& slope,
                 const TensorView& error, int64_t row, Rounding& rounding) {
  const int64_t k = rounding.k();
  const int64_t group = rounding.rule.scheme.GroupSize(k);
  const int64_t groups = rounding.rule.scheme.Groups(k);
  const int64_t width = end - begin;
  const auto rows = static_cast<int>(std::min<int64_t>(kLanes, rounding.n() - row));
  std::vector<float> slopes(static_cast<size_t>(width * kLanes));
  for (int r = 0; r < rows; ++r) {
    const float* from = slope.As<const float>() + (row + r) * width;
    for (int64_t j = 0; j < width; ++j) slopes[static_cast<size_t>(j * kLanes + r)] = from[j];
  }
  Grid grid;
  grid.max_code = static_cast<float>(rounding.rule.scheme.MaxCode());
  for (int64_t j = 0; j < width; ++j) {
    const int64_t column = begin + j;
    const float* gram = hessian.gram.As<const float>() + column * k + begin;
    const float inverse = 1.0f / gram[j];
    float changes[kLanes] = {};
    bool changed = false;
    for (int r = 0; r < rows; ++r) {
      const int64_t of = (row + r) * groups + column / group;
      grid.scale = rounding.scales.As<const float>()[of];
      grid.zero = rounding.zeros.As<const float>()[of];
      float& step = rounding.steps.As<float>()[(row + r) * k + column];
      const float best = step * grid.scale + slopes[static_cast<size_t>(j * kLanes + r)] * inverse;
      const float nearest = NearestStep(grid, best);
      if (nearest == step) continue;
      changes[r] = (nearest - step) * grid.scale;
      error.As<float>()[(row + r) * k + column] -= changes[r];
      step = nearest;
      changed = true;
    }
    if (!changed) continue;
    for (int64_t i = j + 1; i < width; ++i) {
      float* to = slopes.data() + i * kLanes;
      for (int r = 0; r < kLanes; ++r) to[r] -= changes[r] * gram[i];
    }
  }
}

}  // namespace

void DescendCodes(Backend& backend, ThreadPool& pool, const Hessian& hessian, Rounding& rounding) {
  if (!rounding.metric.empty()) return DescendCoupled(backend, pool, hessian, rounding);
  const int64_t n = rounding.n();
  const int64_t k = rounding.k();
  const Tensor error = RoundingError(pool, rounding);
  const Tensor product = MakeTensor(DType::kF32, {n, std::min(k, kBlock)});
  for (int64_t begin = 0; begin < k; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, k);
    const TensorView slope(product.view().data, DType::kF32, {n, end - begin});
    backend.MatMul(error.view(), hessian.gram.view().Rows(begin, end), true, slope);
    pool.For((n + kLanes - 1) / kLanes, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        DescendRows(hessian, begin, end, slope, error.view(), i * kLanes, rounding);
      }
    });
  }
}

}  // namespace awq
