#include "awq/quant/search_clip.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace awq {
namespace {

constexpr int kSteps = 10;
constexpr float kStep = 0.05f;

float LargestMagnitude(const float* w, int64_t n) {
  float top = 0;
  for (int64_t i = 0; i < n; ++i) top = std::max(top, std::abs(w[i]));
  return top;
}

// errors[j, :] = Q(clamp(w, ±top·(1 - j·step))) - w.
void ClipErrors(const GridRule& rule, const float* w, int64_t n, float* errors) {
  const float top = LargestMagnitude(w, n);
  std::vector<float> clamped(static_cast<size_t>(n));
  for (int j = 0; j < kSteps; ++j) {
    const float limit = top * (1.0f - kStep * static_cast<float>(j));
    float lo = limit;
    float hi = -limit;
    for (int64_t i = 0; i < n; ++i) {
      const float v = std::min(std::max(w[i], -limit), limit);
      clamped[static_cast<size_t>(i)] = v;
      lo = std::min(lo, v);
      hi = std::max(hi, v);
    }
    float* out = errors + j * n;
    RoundToGrid(FitGrid(rule, lo, hi), clamped.data(), out, n);
    for (int64_t i = 0; i < n; ++i) out[i] -= w[i];
  }
}

int BestStep(const float* errors, const float* products, int64_t n) {
  int best = 0;
  double best_loss = 0;
  for (int j = 0; j < kSteps; ++j) {
    double loss = 0;
    for (int64_t i = 0; i < n; ++i) {
      loss += static_cast<double>(errors[j * n + i]) * static_cast<double>(products[j * n + i]);
    }
    if (j == 0 || loss < best_loss) {
      best = j;
      best_loss = loss;
    }
  }
  return best;
}

}  // namespace

bool ClipsRole(Role role) { return role != Role::kQ && role != Role::kK; }

double ClipWeights(Backend& backend, ThreadPool& pool, const GridRule& rule, const TensorView& w,
                   const TensorView& gram) {
  const int64_t k = w.dim(1);
  const int64_t group = rule.scheme.GroupSize(k);
  constexpr int64_t kChunkElements = int64_t{1} << 22;  // 16 MiB of errors at a time
  const int64_t rows = std::clamp<int64_t>(kChunkElements / (kSteps * group), 1, w.dim(0));
  const Tensor errors = MakeTensor(DType::kF32, {rows * kSteps, group});
  const Tensor products = MakeTensor(DType::kF32, {rows * kSteps, group});
  int64_t clipped = 0;
  for (int64_t first = 0; first < k; first += group) {
    const int64_t n = std::min(group, k - first);
    const Tensor block = ConvertTo(PartOf(gram, first, first + n), DType::kF32);
    for (int64_t r0 = 0; r0 < w.dim(0); r0 += rows) {
      const int64_t count = std::min(rows, w.dim(0) - r0);
      const TensorView e(errors.view().data, DType::kF32, {count * kSteps, n});
      const TensorView p(products.view().data, DType::kF32, {count * kSteps, n});
      pool.For(count, 8, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          ClipErrors(rule, w.As<const float>() + (r0 + r) * k + first, n,
                     e.As<float>() + r * kSteps * n);
        }
      });
      backend.MatMul(e, block.view(), false, p);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t at = r * kSteps * n;
        const int step = BestStep(e.As<const float>() + at, p.As<const float>() + at, n);
        if (step == 0) continue;
        ++clipped;
        float* row = w.As<float>() + (r0 + r) * k + first;
        const float limit = LargestMagnitude(row, n) * (1.0f - kStep * static_cast<float>(step));
        for (int64_t i = 0; i < n; ++i) row[i] = std::clamp(row[i], -limit, limit);
      }
    }
  }
  return static_cast<double>(clipped) / static_cast<double>(w.dim(0) * rule.scheme.Groups(k));
}

}  // namespace awq
