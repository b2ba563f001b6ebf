#include "awq/nn/linear.h"

namespace awq {

void Linear::Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
  ctx.backend.Linear(*weight_, x, bias_.view(), y);
}

Tensor ToDevice(Backend& backend, const TensorView& host) {
  const Tensor f32 = ConvertTo(host, DType::kF32);
  Tensor out = backend.Alloc(DType::kF32, host.shape);
  backend.Copy(out.view(), f32.view());
  return out;
}

Linear MakeLinear(Backend& backend, const LinearWeight& weight) {
  std::unique_ptr<PackedWeight> packed;
  if (const auto* dense = std::get_if<Tensor>(&weight.weight)) {
    packed = backend.PrepareDense(dense->view(), dense->dtype());
  } else {
    packed = backend.PrepareQuantized(std::get<QuantizedWeight>(weight.weight));
  }
  Tensor bias;
  if (!weight.bias.empty()) bias = ToDevice(backend, weight.bias.view());
  return Linear(std::move(packed), std::move(bias));
}

}  // namespace awq
