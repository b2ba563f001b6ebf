#include "awq/quant/fisher/norm_gradient.h"

#include <cmath>

namespace awq {
namespace {

double Sum(const float* x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i];
  return sum;
}

// With n = (x - mean) · s, s = 1/√(mean((x - mean)²) + ε), and h = w · grad_y:
// grad_x = s · (h - mean(h) - n · mean(h · n)); an RMS norm has neither mean.
void RowBackward(const NormArgs& args, int64_t columns, const float* weight, const float* x,
                 const float* grad_y, float* grad_x) {
  const bool centred = args.kind == NormKind::kLayer;
  const auto count = static_cast<double>(columns);
  const double mean = centred ? Sum(x, columns) / count : 0.0;
  double squares = 0, product = 0, total = 0;
  for (int64_t i = 0; i < columns; ++i) {
    const double d = x[i] - mean;
    const double h = static_cast<double>(grad_y[i]) * (weight == nullptr ? 1.0f : weight[i]);
    squares += d * d;
    product += d * h;
    total += h;
  }
  const double s = 1.0 / std::sqrt(squares / count + static_cast<double>(args.epsilon));
  const double along = product * s * s / count;
  const double shift = centred ? total / count : 0.0;
  for (int64_t i = 0; i < columns; ++i) {
    const double h = static_cast<double>(grad_y[i]) * (weight == nullptr ? 1.0f : weight[i]);
    grad_x[i] = static_cast<float>(s * (h - shift - (x[i] - mean) * along));
  }
}

}  // namespace

NormGradient::NormGradient(Backend& backend, const NormSpec& spec, Role role, int64_t size,
                           const LayerParams& params)
    : args_(ToArgs(spec)), norm_(MakeNorm(backend, spec, role, size, params)) {
  if (!norm_.is_none() && spec.affine) weight_ = params.vectors.at(role).Share();
}

void NormGradient::Forward(const GradientContext& ctx, const TensorView& x,
                           const TensorView& y) const {
  ExecContext exec = ctx.exec();
  norm_.Forward(exec, x, y);
}

void NormGradient::Backward(const GradientContext& ctx, const TensorView& x,
                            const TensorView& grad_y, const TensorView& grad_x) const {
  if (norm_.is_none()) return ctx.backend.Scale({}, grad_y, grad_x);
  const int64_t columns = x.dim(x.rank() - 1);
  ctx.pool.For(x.NumRows(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      RowBackward(args_, columns, weight_.As<const float>(), x.As<const float>() + x.RowOffset(r),
                  grad_y.As<const float>() + grad_y.RowOffset(r),
                  grad_x.As<float>() + grad_x.RowOffset(r));
    }
  });
}

}  // namespace awq
