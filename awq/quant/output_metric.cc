#include "awq/quant/output_metric.h"

#include <cmath>

namespace awq {

Tensor MakeOutputMetric(const TensorView& sums, double damp) {
  const int64_t n = sums.dim(0);
  const int64_t width = sums.dim(1);
  Tensor out = ConvertTo(sums, DType::kF32);
  float* m = out.As<float>();
  double trace = 0;
  for (int64_t i = 0; i < n; ++i) trace += static_cast<double>(m[i * width + i % width]);
  if (!(trace > 0) || !std::isfinite(trace)) return {};
  const auto scale = static_cast<float>(static_cast<double>(n) / trace);
  for (float& v : out.Span<float>()) v *= scale;
  for (int64_t i = 0; i < n; ++i) m[i * width + i % width] += static_cast<float>(damp);
  return out;
}

}  // namespace awq
