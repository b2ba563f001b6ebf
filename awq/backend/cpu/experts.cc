// Experts on the CPU: the rows of each expert are gathered, multiplied as one linear, and put back.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "awq/backend/cpu/cpu_backend.h"
#include "awq/backend/cpu/packed.h"
#include "awq/ops/checks.h"

namespace awq::cpu {
namespace {

// Slots of the scratch memory; linears use the first ones.
constexpr int kInputs = 5;
constexpr int kOutputs = 6;

int64_t BytesOfRow(const TensorView& t) { return t.dim(1) * BitsOf(t.dtype) / 8; }
char* RowOf(const TensorView& t, int64_t row) {
  return t.As<char>() + row * t.strides[0] * BitsOf(t.dtype) / 8;
}

}  // namespace

void CpuBackend::MoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                           const TensorView& y) {
  const MoeDims d = CheckMoeLinear(w, routing, x, y);
  const auto* pairs = routing.pairs.As<const int32_t>();
  const auto* starts = routing.starts.As<const int32_t>();
  int64_t most = 0;
  for (int64_t e = 0; e < w.size(); ++e) most = std::max<int64_t>(most, starts[e + 1] - starts[e]);
  const int64_t x_bytes = BytesOfRow(x);
  const int64_t y_bytes = BytesOfRow(y);
  char* in = scratch_.Get<char>(kInputs, most * x_bytes);
  char* out = scratch_.Get<char>(kOutputs, most * y_bytes);
  for (int64_t e = 0; e < w.size(); ++e) {
    const int32_t* mine = pairs + starts[e];
    const int64_t rows = starts[e + 1] - starts[e];
    if (rows == 0) continue;
    if (rows == 1) {
      const int64_t row = mine[0] / d.pairs_per_row;
      Linear(w[e], x.Rows(row, row + 1), {}, y.Rows(mine[0], mine[0] + 1));
      continue;
    }
    for (int64_t i = 0; i < rows; ++i) {
      std::memcpy(in + i * x_bytes, RowOf(x, mine[i] / d.pairs_per_row),
                  static_cast<size_t>(x_bytes));
    }
    Linear(w[e], TensorView(in, x.dtype, {rows, w.k()}), {},
           TensorView(out, y.dtype, {rows, w.n()}));
    for (int64_t i = 0; i < rows; ++i) {
      std::memcpy(RowOf(y, mine[i]), out + i * y_bytes, static_cast<size_t>(y_bytes));
    }
  }
}

void CpuBackend::MoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
                        const TensorView& gate, const TensorView& y) {
  if (x.dtype != DType::kF32) return RefBackend::MoeSum(routing, x, shared, gate, y);
  const RowDims d = CheckMoeSum(routing, x, shared, gate, y);
  const int64_t active = routing.experts.dim(1);
  const auto* weights = routing.weights.As<const float>();
  const auto row = [](const TensorView& t, int64_t r) { return t.As<float>() + r * t.strides[0]; };
  pool_.For(d.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float factor = gate.empty() ? 1.0f : 1.0f / (1.0f + std::exp(-*row(gate, t)));
      float* to = row(y, t);
      for (int64_t c = 0; c < d.columns; ++c) {
        to[c] = shared.empty() ? 0.0f : factor * row(shared, t)[c];
      }
      for (int64_t p = t * active; p < (t + 1) * active; ++p) {
        const float weight = weights[p];
        const float* from = row(x, p);
        for (int64_t c = 0; c < d.columns; ++c) to[c] += weight * from[c];
      }
    }
  });
}

}  // namespace awq::cpu
