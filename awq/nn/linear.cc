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

std::unique_ptr<PackedWeight> Prepare(Backend& backend, const LinearWeight& weight) {
  if (const auto* dense = std::get_if<Tensor>(&weight.weight)) {
    return backend.PrepareDense(dense->view(), dense->dtype());
  }
  return backend.PrepareQuantized(std::get<QuantizedWeight>(weight.weight));
}

Linear MakeLinear(Backend& backend, const LinearWeight& weight) {
  Tensor bias;
  if (!weight.bias.empty()) bias = ToDevice(backend, weight.bias.view());
  return Linear(Prepare(backend, weight), std::move(bias));
}

}  // namespace awq
