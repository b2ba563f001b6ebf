#include "awq/quant/fisher/linear_gradient.h"

namespace awq {
namespace {

Tensor AsF32(const Tensor& t) {
  if (t.empty() || t.dtype() == DType::kF32) return t.Share();
  return ConvertTo(t.view(), DType::kF32);
}

const Tensor& DenseOf(const LayerParams& params, LinearId id) {
  const auto* dense = std::get_if<Tensor>(&params.linears.at(id).weight);
  AWQ_CHECK(dense != nullptr, kInternal, "gradient: ", LinearName(id), " is quantized");
  return *dense;
}

}  // namespace

LinearGradient::LinearGradient(const LayerParams& params, LinearId id)
    : id_(id), weight_(AsF32(DenseOf(params, id))), bias_(AsF32(params.linears.at(id).bias)) {}

void LinearGradient::Forward(const GradientContext& ctx, const TensorView& x,
                             const TensorView& y) const {
  ctx.backend.MatMul(x, weight_.view(), true, y);
  if (bias_.empty()) return;
  const int64_t columns = n();
  const float* bias = bias_.As<const float>();
  ctx.pool.For(y.dim(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = y.As<float>() + y.RowOffset(t);
      for (int64_t i = 0; i < columns; ++i) row[i] += bias[i];
    }
  });
}

void LinearGradient::Backward(const GradientContext& ctx, const TensorView& grad_y,
                              const TensorView& grad_x) const {
  if (ctx.sink) ctx.sink(id_, grad_y);
  ctx.backend.MatMul(grad_y, weight_.view(), false, grad_x);
}

void LinearGradient::AddBackward(const GradientContext& ctx, const TensorView& grad_y,
                                 const TensorView& grad_x) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView more = ctx.Take(grad_x.shape);
  Backward(ctx, grad_y, more);
  ctx.backend.Add(grad_x, more);
}

}  // namespace awq
