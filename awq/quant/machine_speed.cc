#include <functional>

#include "awq/base/clock.h"
#include "awq/quant/plan.h"
#include "awq/quant/rounding.h"
#include "awq/quant/search_range.h"

namespace awq {
namespace {

// Work per second of `body`, which does `work` each time and keeps all threads busy: the best of
// calls over a while, after one to warm up. By processor time and the best, since whatever else the
// machine does at the moment may stop.
double Measure(ThreadPool& pool, double work, const std::function<void()>& body) {
  constexpr double kWhile = 0.15;
  body();
  double best = 1e30;
  double total = 0;
  while (total < kWhile) {
    const double start = ProcessorSeconds();
    body();
    const double seconds = (ProcessorSeconds() - start) / pool.size();
    best = std::min(best, seconds);
    total += seconds;
  }
  return work / best;
}

Tensor Values(DType type, const Shape& shape) {
  Tensor out = MakeTensor(type, shape);
  uint32_t state = 1;
  for (int64_t i = 0; i < out.view().NumElements(); ++i) {
    state = state * 1664525u + 1013904223u;
    StoreFloat(out.view(), i, static_cast<float>(state >> 8) / 16777216.0f - 0.5f);
  }
  return out;
}

// A linear of `rows` rows behind inputs without correlation, rounded to nearest.
struct RoundedLinear {
  RoundedLinear(Backend& backend, ThreadPool& pool, int64_t rows, int64_t columns) {
    const Tensor gram = MakeTensor(DType::kF32, {columns, columns});
    for (int64_t i = 0; i < columns; ++i) gram.As<float>()[i * columns + i] = 1;
    hessian = MakeHessian(backend, gram.view(), 0.01);
    rounding.target = Values(DType::kF32, {rows, columns});
    RangeGrids grids = SearchRanges(backend, pool, rounding.rule, rounding.target.view(),
                                    hessian.gram.view(), false);
    rounding.scales = std::move(grids.scales);
    rounding.zeros = std::move(grids.zeros);
    rounding.steps = MakeTensor(DType::kF32, rounding.target.shape());
  }
  Hessian hessian;
  Rounding rounding;
};

// Passes of coordinate descent, and the correction of a target: two triangular solves.
void MeasureColumns(Backend& backend, ThreadPool& pool, MachineSpeed& out) {
  constexpr int64_t kRows = 512;
  constexpr int64_t kColumns = 512;
  RoundedLinear linear(backend, pool, kRows, kColumns);
  // All codes are far from their best, where a pass leaves them; in a run some are.
  constexpr double kMoved = 0.7;
  const double rate = Measure(pool, kRows * kColumns, [&] {
    const auto steps = linear.rounding.steps.view().Span<float>();
    std::fill(steps.begin(), steps.end(), 0.0f);
    DescendCodes(backend, pool, linear.hessian, linear.rounding);
  });
  const double seconds = 1 / rate - 2 * kColumns / out.product;
  out.descents = 1 / (kMoved * std::max(seconds, 0.1 / rate));
  const Tensor drift = Values(DType::kF32, {kRows, kColumns});
  out.solve = Measure(pool, 2.0 * kRows * kColumns * kColumns, [&] {
    CorrectTarget(backend, linear.hessian, drift.view(), 0.5, linear.rounding.target.view());
  });
}

}  // namespace

MachineSpeed MeasureSpeed(Backend& backend, ThreadPool& pool) {
  constexpr int64_t kSize = 1024;
  const double flops = 2.0 * kSize * kSize * kSize;
  const Tensor x = Values(DType::kF32, {kSize, kSize});
  const Tensor w = Values(DType::kBF16, {kSize, kSize});
  const Tensor y = MakeTensor(DType::kF32, {kSize, kSize});
  const GridRule rule;
  const auto packed = backend.PrepareDense(w.view(), DType::kBF16);
  const auto quantized = backend.PrepareQuantized(QuantizeToNearest(rule, pool, x.view()));
  MachineSpeed out;
  out.linear = Measure(pool, flops, [&] { backend.Linear(*packed, x.view(), {}, y.view()); });
  out.quantized = Measure(pool, flops, [&] { backend.Linear(*quantized, x.view(), {}, y.view()); });
  out.gram = Measure(pool, flops, [&] { backend.CrossGram(x.view(), x.view(), y.view()); });
  // Of sampled rows with moments that no cache holds, as the searches have them.
  constexpr int64_t kWide = 2048;
  const Tensor moments = Values(DType::kF32, {kWide, kWide});
  const TensorView sample = moments.view().Rows(0, kWide / 4);
  const Tensor products = MakeTensor(DType::kF32, sample.shape);
  out.product = Measure(pool, 2.0 * kWide / 4 * kWide * kWide,
                        [&] { backend.MatMul(sample, moments.view(), false, products.view()); });
  out.weights =
      Measure(pool, kSize * kSize, [&] { QuantizationError(rule, pool, x.view(), {}, y.view()); });
  const QuantizedWeight codes = QuantizeToNearest(rule, pool, x.view());
  ThreadPool one(1);
  out.decoded = Measure(one, kSize * kSize, [&] { Dequantize(codes); });
  constexpr int64_t kColumns = 256;
  const Tensor part = Values(DType::kF32, {kSize, kColumns});
  out.ranges = Measure(pool, kSize * kColumns,
                       [&] { SearchRanges(backend, pool, rule, part.view(), y.view(), true); });
  MeasureColumns(backend, pool, out);
  return out;
}

MachineSpeed NominalSpeed() {
  return {.linear = 2.2e11,
          .quantized = 4.2e11,
          .gram = 2.1e11,
          .product = 2e11,
          .solve = 4e10,
          .weights = 9.5e8,
          .decoded = 7.5e7,
          .ranges = 9e6,
          .descents = 6e7};
}

}  // namespace awq
