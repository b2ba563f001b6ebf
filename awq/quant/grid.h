// Grid: the scale and zero point of one group of weights, and rounding onto them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "awq/base/tensor.h"
#include "awq/base/threads.h"
#include "awq/pack/quantized_weight.h"

namespace awq {

// How a range becomes a grid.
struct GridRule {
  QuantScheme scheme;
  DType scale_type = DType::kF16;  // scales are rounded to it before codes are chosen
  // Whether an asymmetric range always contains zero, without which one-sided groups collapse.
  // AutoAWQ does not do it.
  bool include_zero = true;
  // A symmetric scale is max |w| / span: 7.5 uses all sixteen codes, AutoAWQ's 7 wastes one.
  float symmetric_span = 7.5f;
  // Every intermediate result rounded to f16, as AutoAWQ's packer computes it.
  bool f16_arithmetic = false;
};

// ŵ = (code - zero) · scale, codes 0 … max_code.
struct Grid {
  float scale = 1;
  float zero = 0;
  float max_code = 15;
};

// The step, code - zero, of the grid point nearest to `value`; rounds halves to even. Adding and
// subtracting 1.5 · 2^23 rounds |x| < 2^22 in two vectorisable instructions on every CPU. Divided,
// not multiplied by the inverse: the end of a symmetric range always lies half way between two
// codes. Clamped before rounding, which gives the same code and keeps the rounder in its range.
inline float NearestStep(const Grid& grid, float value) {
  constexpr float kRounder = 12582912.0f;
  const float x = std::min(std::max(value / grid.scale, -grid.zero), grid.max_code - grid.zero);
  return (x + kRounder) - kRounder;
}

// The grid of a group with values in [lo, hi].
Grid FitGrid(const GridRule& rule, float lo, float hi);

// to[i] = the value of the nearest code; rounds halves to even. `to` may be `from`.
void RoundToGrid(const Grid& grid, const float* from, float* to, int64_t n);
// The code of one value under the rule's arithmetic.
int CodeOf(const GridRule& rule, const Grid& grid, float value);

// delta[N, K] = Q(w · s) / s - w for rows of w [N, K]; s [K] or empty for ones. All f32, dense.
void QuantizationError(const GridRule& rule, ThreadPool& pool, const TensorView& w,
                       std::span<const float> s, const TensorView& delta);

// Rounds w [N, K] f32 to nearest; codes are chosen with the stored scales.
QuantizedWeight QuantizeToNearest(const GridRule& rule, ThreadPool& pool, const TensorView& w);

}  // namespace awq
