#include "awq/quant/search_range.h"

#include <algorithm>
#include <vector>

namespace awq {
namespace {

constexpr int kCandidates = 14;  // of one end at a time, the present one among them
constexpr float kStep = 0.04f;

struct Range {
  float lo = 0, hi = 0;     // of the weights
  float low = 1, high = 1;  // shares of them that the grid covers
  float loss = 0;
};

Range RangeOf(const float* w, int64_t n) {
  Range out;
  out.lo = out.hi = w[0];
  for (int64_t i = 1; i < n; ++i) {
    out.lo = std::min(out.lo, w[i]);
    out.hi = std::max(out.hi, w[i]);
  }
  return out;
}

enum class End { kLow, kHigh, kBoth };

// The c-th candidate of one end: 1, 1 - step, ….
Range Candidate(Range range, End end, int c) {
  const float share = 1.0f - kStep * static_cast<float>(c);
  if (end != End::kHigh) range.low = share;
  if (end != End::kLow) range.high = share;
  return range;
}

Grid GridOf(const GridRule& rule, const Range& range) {
  return FitGrid(rule, range.lo * range.low, range.hi * range.high);
}

// Sets each range's end to the best candidate. Rows of w at stride k, n weights each; errors and
// products have room for all candidates of all rows.
void SearchEnd(Backend& backend, ThreadPool& pool, const GridRule& rule, const TensorView& w,
               const TensorView& block, End end, const TensorView& errors,
               const TensorView& products, std::vector<Range>& ranges) {
  const int64_t n = w.dim(1);
  pool.For(w.dim(0), 8, [&](int64_t begin, int64_t stop) {
    for (int64_t r = begin; r < stop; ++r) {
      const float* row = w.As<const float>() + r * w.strides[0];
      for (int c = 0; c < kCandidates; ++c) {
        float* out = errors.As<float>() + (r * kCandidates + c) * n;
        const Grid grid = GridOf(rule, Candidate(ranges[static_cast<size_t>(r)], end, c));
        RoundToGrid(grid, row, out, n);
        for (int64_t i = 0; i < n; ++i) out[i] -= row[i];
      }
    }
  });
  backend.MatMul(errors, block, false, products);
  pool.For(w.dim(0), 8, [&](int64_t begin, int64_t stop) {
    for (int64_t r = begin; r < stop; ++r) {
      int best = 0;
      float best_loss = 0;
      for (int c = 0; c < kCandidates; ++c) {
        const int64_t at = (r * kCandidates + c) * n;
        float loss = 0;
        for (int64_t i = 0; i < n; ++i) {
          loss += errors.As<const float>()[at + i] * products.As<const float>()[at + i];
        }
        if (c == 0 || loss < best_loss) {
          best = c;
          best_loss = loss;
        }
      }
      ranges[static_cast<size_t>(r)] = Candidate(ranges[static_cast<size_t>(r)], end, best);
    }
  });
}

}  // namespace

RangeGrids SearchRanges(Backend& backend, ThreadPool& pool, const GridRule& rule,
                        const TensorView& w, const TensorView& gram, bool search) {
  const int64_t k = w.dim(1);
  const int64_t group = rule.scheme.GroupSize(k);
  const int64_t groups = rule.scheme.Groups(k);
  RangeGrids out{MakeTensor(DType::kF32, {w.dim(0), groups}),
                 MakeTensor(DType::kF32, {w.dim(0), groups})};
  constexpr int64_t kChunkElements = int64_t{1} << 21;  // 8 MiB of errors at a time
  const int64_t rows = std::clamp<int64_t>(kChunkElements / (kCandidates * group), 1, w.dim(0));
  const Tensor errors = MakeTensor(DType::kF32, {rows * kCandidates, group});
  const Tensor products = MakeTensor(DType::kF32, {rows * kCandidates, group});
  int64_t clipped = 0;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = g * group;
    const int64_t last = std::min(first + group, k);
    const Tensor block = ConvertTo(gram.Rows(first, last).Columns(first, last), DType::kF32);
    for (int64_t r0 = 0; r0 < w.dim(0); r0 += rows) {
      const int64_t count = std::min(rows, w.dim(0) - r0);
      const TensorView part = w.Rows(r0, r0 + count).Columns(first, last);
      const Shape shape{count * kCandidates, last - first};
      std::vector<Range> ranges;
      for (int64_t r = 0; r < count; ++r) {
        ranges.push_back(RangeOf(part.As<const float>() + r * k, last - first));
      }
      const std::vector<End> ends = !search ? std::vector<End>{}
                                    : rule.scheme.symmetric
                                        ? std::vector<End>{End::kBoth}
                                        : std::vector<End>{End::kBoth, End::kLow, End::kHigh};
      for (const End end : ends) {
        SearchEnd(backend, pool, rule, part, block.view(), end,
                  TensorView(errors.view().data, DType::kF32, shape),
                  TensorView(products.view().data, DType::kF32, shape), ranges);
      }
      for (int64_t r = 0; r < count; ++r) {
        const Range& range = ranges[static_cast<size_t>(r)];
        if (range.low < 1 || range.high < 1) ++clipped;
        const Grid grid = GridOf(rule, range);
        out.scales.As<float>()[(r0 + r) * groups + g] = grid.scale;
        out.zeros.As<float>()[(r0 + r) * groups + g] = grid.zero;
      }
    }
  }
  out.clipped = static_cast<double>(clipped) / static_cast<double>(w.dim(0) * groups);
  return out;
}

}  // namespace awq
