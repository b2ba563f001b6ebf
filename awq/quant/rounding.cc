#include "awq/quant/rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "awq/quant/moments.h"

namespace awq {
namespace {

double MeanDiagonal(const TensorView& gram) {
  const int64_t k = gram.dim(0);
  double sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += gram.As<const float>()[i * k + i];
  AWQ_CHECK(std::isfinite(sum), kInternal, "the Gram matrix of the inputs is not finite");
  return sum / static_cast<double>(k);
}

void Arrange(Hessian& h) {
  const int64_t k = h.gram.shape()[0];
  const float* g = h.gram.As<const float>();
  h.factor = MakeTensor(DType::kF32, {k, k});
  for (int64_t i = 0; i < k; ++i) {
    const float* from = g + static_cast<int64_t>(h.order[static_cast<size_t>(i)]) * k;
    float* to = h.factor.As<float>() + i * k;
    for (int64_t j = 0; j < k; ++j) to[j] = from[h.order[static_cast<size_t>(j)]];
  }
}

}  // namespace

Hessian MakeHessian(Backend& backend, const TensorView& gram, double damp) {
  const int64_t k = gram.dim(0);
  Hessian h;
  h.gram = ConvertTo(gram, DType::kF32);
  float* g = h.gram.As<float>();
  double mean = MeanDiagonal(h.gram.view());
  const auto add = [&](double value) {
    for (int64_t i = 0; i < k; ++i) g[i * k + i] += static_cast<float>(value);
  };
  if (mean <= 0) {
    std::fill_n(g, k * k, 0.0f);
    mean = 1;
    add(1);
  }
  add(damp * mean);
  h.order.resize(static_cast<size_t>(k));
  std::iota(h.order.begin(), h.order.end(), 0);
  std::stable_sort(h.order.begin(), h.order.end(),
                   [&](int32_t a, int32_t b) { return g[a * k + a] < g[b * k + b]; });
  constexpr int kAttempts = 6;
  double damping = damp * mean;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Arrange(h);
    if (backend.Cholesky(h.factor.view()) < 0) return h;
    add(9 * damping);
    damping *= 10;
  }
  Fail(ErrorCode::kInternal, "the Gram matrix of the inputs is not positive definite");
}

void CorrectTarget(Backend& backend, const Hessian& hessian, const TensorView& drift,
                   double strength, const TensorView& w) {
  const int64_t n = w.dim(0);
  const int64_t k = w.dim(1);
  const Tensor ordered = MakeTensor(DType::kF32, {n, k});
  for (int64_t r = 0; r < n; ++r) {
    const float* from = drift.As<const float>() + r * k;
    float* to = ordered.As<float>() + r * k;
    for (int64_t c = 0; c < k; ++c) to[c] = from[hessian.order[static_cast<size_t>(c)]];
  }
  backend.SolveTriangular(hessian.factor.view(), true, ordered.view());
  backend.SolveTriangular(hessian.factor.view(), false, ordered.view());
  const auto a = static_cast<float>(strength);
  for (int64_t r = 0; r < n; ++r) {
    const float* from = ordered.As<const float>() + r * k;
    float* to = w.As<float>() + r * k;
    for (int64_t c = 0; c < k; ++c) to[hessian.order[static_cast<size_t>(c)]] += a * from[c];
  }
}

void UpdateErrors(const Rounding& rounding, int64_t begin, int64_t end, const TensorView& error) {
  const int64_t k = rounding.k();
  const int64_t group = rounding.rule.scheme.GroupSize(k);
  const int64_t groups = rounding.rule.scheme.Groups(k);
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const float scale = rounding.scales.As<const float>()[r * groups + g];
      for (int64_t i = r * k + g * group; i < r * k + std::min((g + 1) * group, k); ++i) {
        error.As<float>()[i] =
            rounding.target.As<const float>()[i] - rounding.steps.As<const float>()[i] * scale;
      }
    }
  }
}

Tensor RoundingError(ThreadPool& pool, const Rounding& rounding) {
  Tensor out = MakeTensor(DType::kF32, {rounding.n(), rounding.k()});
  pool.For(rounding.n(), 16,
           [&](int64_t begin, int64_t end) { UpdateErrors(rounding, begin, end, out.view()); });
  return out;
}

double RoundingLoss(Backend& backend, const Hessian& hessian, const Rounding& rounding) {
  ThreadPool here(1);
  const Tensor error = RoundingError(here, rounding);
  if (rounding.metric.empty()) return GramLoss(backend, error.view(), hessian.gram.view());
  double loss = 0;
  for (const DiagonalBlock& block : DiagonalBlocks(rounding.metric.view())) {
    const TensorView e = error.view().Rows(block.begin, block.end);
    const Tensor left = MakeTensor(DType::kF32, e.shape);
    const Tensor right = MakeTensor(DType::kF32, e.shape);
    backend.MatMul(ViewOf(rounding.metric.view(), block), e, false, left.view());
    backend.MatMul(e, hessian.gram.view(), false, right.view());
    for (int64_t i = 0; i < e.NumElements(); ++i) {
      loss += static_cast<double>(left.As<const float>()[i]) *
              static_cast<double>(right.As<const float>()[i]);
    }
  }
  return loss;
}

void StoreColumns(const Rounding& rounding, int64_t first, QuantizedWeight& out) {
  const int64_t n = rounding.n();
  const int64_t k = rounding.k();
  const QuantScheme& scheme = out.scheme;
  const int64_t groups = scheme.Groups(k);
  const int64_t first_group = first / scheme.GroupSize(out.k());
  for (int64_t r = 0; r < n; ++r) {
    const float* scales = rounding.scales.As<const float>() + r * groups;
    const float* zeros = rounding.zeros.As<const float>() + r * groups;
    const int64_t at = r * scheme.Groups(out.k()) + first_group;
    for (int64_t g = 0; g < groups; ++g) {
      StoreFloat(out.scales.view(), at + g, scales[g]);
      if (!scheme.symmetric) out.zeros.As<uint8_t>()[at + g] = static_cast<uint8_t>(zeros[g]);
    }
    for (int64_t c = 0; c < k; ++c) {
      const float step = rounding.steps.As<const float>()[r * k + c];
      SetCode(out, r, first + c, static_cast<int>(step + zeros[c / scheme.GroupSize(k)]));
    }
  }
}

QuantizedWeight ToQuantizedWeight(const Rounding& rounding) {
  QuantizedWeight out = MakeQuantizedWeight(rounding.rule.scheme, rounding.n(), rounding.k(),
                                            rounding.rule.scale_type);
  StoreColumns(rounding, 0, out);
  return out;
}

}  // namespace awq
