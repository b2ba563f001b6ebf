#include <chrono>
#include <functional>

#include "awq/quant/plan.h"

namespace awq {
namespace {

// Work per second of `body`, which does `work` each time: the best of calls over a while, after one
// to warm up. The best, since whatever else the machine does at the moment may stop.
double Measure(double work, const std::function<void()>& body) {
  using Clock = std::chrono::steady_clock;
  constexpr double kWhile = 0.15;
  body();
  double best = 1e30;
  double total = 0;
  while (total < kWhile) {
    const auto start = Clock::now();
    body();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
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

}  // namespace

MachineSpeed MeasureSpeed(Backend& backend, ThreadPool& pool) {
  constexpr int64_t kSize = 1024;
  const double flops = 2.0 * kSize * kSize * kSize;
  const Tensor x = Values(DType::kF32, {kSize, kSize});
  const Tensor w = Values(DType::kBF16, {kSize, kSize});
  const Tensor y = MakeTensor(DType::kF32, {kSize, kSize});
  const auto packed = backend.PrepareDense(w.view(), DType::kBF16);
  GridRule rule;
  MachineSpeed out;
  out.linear = Measure(flops, [&] { backend.Linear(*packed, x.view(), {}, y.view()); });
  out.gram = Measure(flops, [&] { backend.CrossGram(x.view(), x.view(), y.view()); });
  out.product = Measure(flops, [&] { backend.MatMul(x.view(), x.view(), false, y.view()); });
  out.weights =
      Measure(kSize * kSize, [&] { QuantizationError(rule, pool, x.view(), {}, y.view()); });
  return out;
}

}  // namespace awq
