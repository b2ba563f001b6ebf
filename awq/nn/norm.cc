#include "awq/nn/norm.h"

#include <algorithm>

#include "awq/nn/linear.h"

namespace awq {

Norm MakeNorm(Backend& backend, const NormSpec& spec, Role role, int64_t size,
              const LayerParams& params) {
  if (spec.type == NormType::kNone) return Norm(spec, {});
  if (!spec.affine) {
    const Tensor ones = MakeTensor(DType::kF32, {size});
    std::ranges::fill(ones.Span<float>(), 1.0f);
    return Norm(spec, ToDevice(backend, ones.view()));
  }
  Tensor bias;
  if (spec.bias) bias = ToDevice(backend, params.vector_biases.at(role).view());
  return Norm(spec, ToDevice(backend, params.vectors.at(role).view()), std::move(bias));
}

Norm LoadNorm(Backend& backend, const NormSpec& spec, Role role, int64_t size,
              const WeightSource& source) {
  LayerParams params;
  if (spec.type != NormType::kNone && spec.affine) {
    const VectorShape shape = ShapeOf(role, size, spec);
    params.vectors.emplace(role, source.Vector(shape, 0));
    if (spec.bias) params.vector_biases.emplace(role, source.VectorBias(shape, 0));
  }
  return MakeNorm(backend, spec, role, size, params);
}

}  // namespace awq
