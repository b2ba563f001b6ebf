#include <algorithm>
#include <cmath>
#include <vector>

#include "awq/quant/moments.h"
#include "awq/quant/rounding.h"

namespace awq {
namespace {

constexpr int64_t kRows = 128;        // rows whose systems are built together
constexpr int64_t kCoupledRows = 16;  // that move at once where a metric ties rows together
constexpr double kDamping = 0.01;     // towards the present scales

// A s = b of one row: A_gh = c_gᵀ H_gh c_h, b_g = c_gᵀ (H w*)_g, c_g the steps of group g.
struct System {
  int64_t groups;
  std::vector<double> a;  // lower triangle of [G, G]
  std::vector<double> b;

  explicit System(int64_t g)
      : groups(g), a(static_cast<size_t>(g * g)), b(static_cast<size_t>(g)) {}
  double& A(int64_t i, int64_t j) { return a[static_cast<size_t>(i * groups + j)]; }
  double& B(int64_t i) { return b[static_cast<size_t>(i)]; }

  // sᵀA s - 2 bᵀs: the error as far as it depends on the scales.
  double Error(const std::vector<double>& s) {
    double sum = 0;
    for (int64_t i = 0; i < groups; ++i) {
      double row = A(i, i) * s[static_cast<size_t>(i)] - 2 * B(i);
      for (int64_t j = 0; j < i; ++j) row += 2 * A(i, j) * s[static_cast<size_t>(j)];
      sum += row * s[static_cast<size_t>(i)];
    }
    return sum;
  }
};

// The solution damped towards s; false if the system is singular.
bool Solve(System system, const std::vector<double>& s, std::vector<double>& out) {
  const int64_t n = system.groups;
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += system.A(i, i) / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) {
    const double extra = kDamping * system.A(i, i) + 1e-9 * mean;
    system.A(i, i) += extra;
    system.B(i) += extra * s[static_cast<size_t>(i)];
  }
  out.resize(static_cast<size_t>(n));
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = j; i < n; ++i) {
      double sum = system.A(i, j);
      for (int64_t m = 0; m < j; ++m) sum -= system.A(i, m) * system.A(j, m);
      if (i == j && !(sum > 0)) return false;
      system.A(i, j) = i == j ? std::sqrt(sum) : sum / system.A(j, j);
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    double sum = system.B(i);
    for (int64_t j = 0; j < i; ++j) sum -= system.A(i, j) * out[static_cast<size_t>(j)];
    out[static_cast<size_t>(i)] = sum / system.A(i, i);
  }
  for (int64_t i = n - 1; i >= 0; --i) {
    double sum = out[static_cast<size_t>(i)];
    for (int64_t j = i + 1; j < n; ++j) sum -= system.A(j, i) * out[static_cast<size_t>(j)];
    out[static_cast<size_t>(i)] = sum / system.A(i, i);
  }
  return true;
}

void RefitRow(const System& system, DType type, float* scales) {
  System copy = system;
  std::vector<double> present(scales, scales + system.groups);
  std::vector<double> found;
  if (!Solve(system, present, found)) return;
  for (size_t g = 0; g < found.size(); ++g) {
    const bool near = found[g] > 0.5 * present[g] && found[g] < 2 * present[g];
    found[g] = RoundTo(type, static_cast<float>(near ? found[g] : present[g]));
  }
  if (!(copy.Error(found) < copy.Error(present))) return;
  for (size_t g = 0; g < found.size(); ++g) scales[g] = static_cast<float>(found[g]);
}

// Σ a[i] · b[i].
double Dot(const float* a, const float* b, int64_t n) {
  float partial[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int lane = 0; lane < 8; ++lane) partial[lane] += a[i + lane] * b[i + lane];
  }
  double sum = 0;
  for (; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  for (float p : partial) sum += static_cast<double>(p);
  return sum;
}

// What rows [begin, end) aim at when all move at once: their targets, or with a metric
// Ŵ + (M·E)_i / Σ_j |M_ij|, j of these rows: least squares towards that never raise the loss, since
// diag(Σ_j |M_ij|) is above their part of M.
Tensor Aims(Backend& backend, const Rounding& rounding, const TensorView& error, int64_t begin,
            int64_t end) {
  Tensor out = ConvertTo(rounding.target.view().Rows(begin, end), DType::kF32);
  if (rounding.metric.empty()) return out;
  const int64_t k = rounding.k();
  const int64_t width = rounding.metric.shape()[1];
  const int64_t first = begin / width * width;
  const int64_t last = std::min(first + width, rounding.n());
  const TensorView metric = rounding.metric.view().Rows(begin, end).Columns(0, last - first);
  const Tensor pull = MakeTensor(DType::kF32, out.shape());
  backend.MatMul(metric, error.Rows(first, last), false, pull.view());
  for (int64_t r = begin; r < end; ++r) {
    const float* weights = metric.As<const float>() + (r - begin) * metric.strides[0];
    float sum = 0;
    for (int64_t c = begin - first; c < end - first; ++c) sum += std::abs(weights[c]);
    const float* own = error.As<const float>() + r * k;
    for (int64_t c = 0; c < k; ++c) {
      const int64_t at = (r - begin) * k + c;
      out.As<float>()[at] += pull.As<const float>()[at] / sum - own[c];
    }
  }
  return out;
}

}  // namespace

void RefitScales(Backend& backend, ThreadPool& pool, const Hessian& hessian, Rounding& rounding) {
  const int64_t k = rounding.k();
  const int64_t group = rounding.rule.scheme.GroupSize(k);
  const int64_t groups = rounding.rule.scheme.Groups(k);
  const bool coupled = !rounding.metric.empty();
  const Tensor error = coupled ? RoundingError(pool, rounding) : Tensor();
  const int64_t together = coupled ? kCoupledRows : kRows;
  const Tensor products = MakeTensor(DType::kF32, {std::min(kRows, rounding.n()), k});
  for (int64_t begin = 0; begin < rounding.n(); begin += kRows) {
    const int64_t end = std::min(begin + kRows, rounding.n());
    const TensorView steps = rounding.steps.view().Rows(begin, end);
    std::vector<System> systems(static_cast<size_t>(end - begin), System(groups));
    // Group h meets group g ≥ h in c_h · H[h, g].
    for (int64_t h = 0; h < groups; ++h) {
      const int64_t first = h * group;
      const TensorView product(products.view().data, DType::kF32, {end - begin, k - first});
      const int64_t last = std::min(first + group, k);
      backend.MatMul(steps.Columns(first, last),
                     hessian.gram.view().Rows(first, last).Columns(first, k), false, product);
      pool.For(end - begin, 8, [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; ++r) {
          const float* c = steps.As<const float>() + r * k;
          const float* y = product.As<const float>() + r * (k - first);
          for (int64_t g = h; g < groups; ++g) {
            const int64_t at = g * group;
            systems[static_cast<size_t>(r)].A(g, h) =
                Dot(c + at, y + at - first, std::min(group, k - at));
          }
        }
      });
    }
    for (int64_t at = begin; at < end; at += together) {
      const int64_t stop = std::min(at + together, end);
      const Tensor aims = Aims(backend, rounding, error.view(), at, stop);
      const TensorView product(products.view().data, DType::kF32, {stop - at, k});
      backend.MatMul(aims.view(), hessian.gram.view(), false, product);
      pool.For(stop - at, 8, [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; ++r) {
          System& system = systems[static_cast<size_t>(at - begin + r)];
          for (int64_t g = 0; g < groups; ++g) {
            system.B(g) =
                Dot(rounding.steps.As<const float>() + (at + r) * k + g * group,
                    product.As<const float>() + r * k + g * group, std::min(group, k - g * group));
          }
          RefitRow(system, rounding.rule.scale_type,
                   rounding.scales.As<float>() + (at + r) * groups);
        }
      });
      if (coupled) UpdateErrors(rounding, at, stop, error.view());
    }
  }
}

}  // namespace awq
