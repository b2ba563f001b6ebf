#include "awq/quant/grid.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace awq {
namespace {

// Adding and subtracting 1.5 · 2^23 rounds |x| < 2^22 to the nearest integer, halves to even, in
// two vectorisable instructions on every CPU.
constexpr float kRounder = 12582912.0f;
inline float RoundEven(float x) { return (x + kRounder) - kRounder; }

// Ranges below this are taken as this; AutoAWQ's floor. All-zero groups stay exactly zero.
constexpr float kMinRange = 1e-5f;

// AutoAWQ's formulas with its f16 intermediates.
Grid FitGridInF16(const GridRule& rule, float lo, float hi) {
  Grid grid;
  grid.max_code = static_cast<float>(rule.scheme.MaxCode());
  const float floor = RoundToF16(kMinRange);
  if (rule.scheme.symmetric) {
    const float top = std::max(RoundToF16(std::max(std::abs(lo), std::abs(hi))), floor);
    grid.scale = RoundToF16(top / rule.symmetric_span);
    grid.zero = static_cast<float>(rule.scheme.MidCode());
    return grid;
  }
  const float range = std::max(RoundToF16(RoundToF16(hi) - RoundToF16(lo)), floor);
  grid.scale = RoundToF16(range / grid.max_code);
  grid.zero = std::clamp(-RoundEven(RoundToF16(RoundToF16(lo) / grid.scale)), 0.0f, grid.max_code);
  return grid;
}

struct Range {
  float lo, hi;
};

Range RangeOf(const float* w, int64_t n) {
  float lo = w[0];
  float hi = w[0];
  for (int64_t i = 1; i < n; ++i) {
    lo = std::min(lo, w[i]);
    hi = std::max(hi, w[i]);
  }
  return {lo, hi};
}

}  // namespace

Grid FitGrid(const GridRule& rule, float lo, float hi) {
  if (rule.f16_arithmetic) return FitGridInF16(rule, lo, hi);
  Grid grid;
  grid.max_code = static_cast<float>(rule.scheme.MaxCode());
  if (rule.scheme.symmetric) {
    // symmetric_span is stated for 4 bits; other widths keep its distance to half the codes.
    const float span = grid.max_code / 2 - (7.5f - rule.symmetric_span);
    const float top = std::max(std::max(std::abs(lo), std::abs(hi)), kMinRange);
    grid.scale = RoundTo(rule.scale_type, top / span);
    grid.zero = static_cast<float>(rule.scheme.MidCode());
    return grid;
  }
  if (rule.include_zero) {
    lo = std::min(lo, 0.0f);
    hi = std::max(hi, 0.0f);
  }
  grid.scale = RoundTo(rule.scale_type, std::max(hi - lo, kMinRange) / grid.max_code);
  grid.zero = std::clamp(-RoundEven(lo / grid.scale), 0.0f, grid.max_code);
  return grid;
}

void RoundToGrid(const Grid& grid, const float* from, float* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = NearestStep(grid, from[i]) * grid.scale;
}

int CodeOf(const GridRule& rule, const Grid& grid, float value) {
  const float steps =
      rule.f16_arithmetic ? RoundToF16(RoundToF16(value) / grid.scale) : value / grid.scale;
  const float code = std::clamp(steps, -grid.zero - 1, grid.max_code - grid.zero + 1);
  return static_cast<int>(std::clamp(RoundEven(code) + grid.zero, 0.0f, grid.max_code));
}

void QuantizationError(const GridRule& rule, ThreadPool& pool, const TensorView& w,
                       std::span<const float> s, const TensorView& delta) {
  const int64_t k = w.dim(1);
  const int64_t group = rule.scheme.GroupSize(k);
  std::vector<float> inverse(s.size());
  for (size_t i = 0; i < s.size(); ++i) inverse[i] = 1.0f / s[i];
  pool.For(w.dim(0), 16, [&](int64_t begin, int64_t end) {
    std::vector<float> scaled(static_cast<size_t>(k));
    for (int64_t r = begin; r < end; ++r) {
      const float* row = w.As<const float>() + r * k;
      float* out = delta.As<float>() + r * k;
      const float* source = row;
      if (!s.empty()) {
        for (int64_t i = 0; i < k; ++i)
          scaled[static_cast<size_t>(i)] = row[i] * s[static_cast<size_t>(i)];
        source = scaled.data();
      }
      for (int64_t g = 0; g < k; g += group) {
        const int64_t n = std::min(group, k - g);
        const Range range = RangeOf(source + g, n);
        RoundToGrid(FitGrid(rule, range.lo, range.hi), source + g, out + g, n);
      }
      if (s.empty()) {
        for (int64_t i = 0; i < k; ++i) out[i] -= row[i];
      } else {
        for (int64_t i = 0; i < k; ++i) out[i] = out[i] * inverse[static_cast<size_t>(i)] - row[i];
      }
    }
  });
}

QuantizedWeight QuantizeToNearest(const GridRule& rule, ThreadPool& pool, const TensorView& w) {
  const int64_t n = w.dim(0);
  const int64_t k = w.dim(1);
  const int64_t group = rule.scheme.GroupSize(k);
  const int64_t groups = rule.scheme.Groups(k);
  QuantizedWeight out = MakeQuantizedWeight(rule.scheme, n, k, rule.scale_type);
  pool.For(n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* row = w.As<const float>() + r * k;
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t first = g * group;
        const int64_t last = std::min(first + group, k);
        const Range range = RangeOf(row + first, last - first);
        const Grid grid = FitGrid(rule, range.lo, range.hi);
        StoreFloat(out.scales.view(), r * groups + g, grid.scale);
        if (!rule.scheme.symmetric) {
          out.zeros.As<uint8_t>()[r * groups + g] = static_cast<uint8_t>(grid.zero);
        }
        for (int64_t c = first; c < last; ++c) SetCode(out, r, c, CodeOf(rule, grid, row[c]));
      }
    }
  });
  return out;
}

}  // namespace awq
