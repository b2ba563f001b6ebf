#include "awq/nn/linear.h"

namespace awq {

void Linear::Forward(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
  ctx.backend.Linear(*weight_, x, bias_.view(), y);
}

void Linear::ForwardGated(ExecContext& ctx, Activation kind, const TensorView& x,
                          const TensorView& y) const {
  ctx.backend.GatedLinear(*weight_, kind, x, bias_.view(), y);
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

namespace {

Tensor BiasOf(Backend& backend, const LinearWeight& weight) {
  return weight.bias.empty() ? Tensor() : ToDevice(backend, weight.bias.view());
}

}  // namespace

Linear MakeLinear(Backend& backend, const LinearWeight& weight) {
  return Linear(Prepare(backend, weight), BiasOf(backend, weight));
}

std::unique_ptr<PackedWeight> PrepareGated(Backend& backend, const LinearWeight& weight) {
  const auto* quantized = std::get_if<QuantizedWeight>(&weight.weight);
  return quantized == nullptr ? nullptr : backend.PrepareGated(*quantized);
}

std::optional<Linear> MakeGatedLinear(Backend& backend, const LinearWeight& weight) {
  auto packed = PrepareGated(backend, weight);
  if (packed == nullptr) return std::nullopt;
  return Linear(std::move(packed), BiasOf(backend, weight));
}

}  // namespace awq
