#include "awq/quant/layer_weights.h"

#include <cmath>
#include <set>

namespace awq {
namespace {

// Of the bits of a float: all ones in the exponent are an infinity or NaN.
template <typename Bits>
bool AllFinite(const TensorView& view, Bits exponent) {
  for (const Bits b : view.Span<const Bits>()) {
    if ((b & exponent) == exponent) return false;
  }
  return true;
}

bool AllFinite(const TensorView& view) {
  switch (view.dtype) {
    case DType::kBF16:
      return AllFinite<uint16_t>(view, 0x7f80);
    case DType::kF16:
      return AllFinite<uint16_t>(view, 0x7c00);
    default:
      return AllFinite<uint32_t>(view, 0x7f800000);
  }
}

void CheckFinite(const WeightSource& source, const std::string& name, const TensorView& view) {
  if (AllFinite(view)) return;
  int64_t i = 0;
  while (std::isfinite(LoadFloat(view, i))) ++i;
  Fail(ErrorCode::kCorrupt, source.checkpoint().FileOf(name).string(), ": ", name,
       ": expected finite values, found ", LoadFloat(view, i));
}

}  // namespace

LayerParams LayerWeights::Stored() const {
  LayerParams out = source_.Layer(layer_);
  const NameMap& names = source_.names();
  for (auto& [id, linear] : out.linears) {
    CheckFinite(source_, source_.SourceOf(id, layer_), std::get<Tensor>(linear.weight).view());
    if (linear.bias.empty()) continue;
    CheckFinite(source_, names.Bias(id, layer_), linear.bias.view());
    linear.bias = ConvertTo(linear.bias.view(), DType::kF32);
  }
  for (auto& [role, vector] : out.vectors) {
    CheckFinite(source_, names.Weight(role, layer_), vector.view());
  }
  for (auto& [role, bias] : out.vector_biases) {
    CheckFinite(source_, names.Bias(role, layer_), bias.view());
  }
  return out;
}

void LayerWeights::Load(LinearId id, LayerParams& params) const {
  LinearWeight& linear = params.linears.at(id);
  linear.weight = ConvertTo(std::get<Tensor>(linear.weight).view(), DType::kF32);
}

void LayerWeights::LoadAll(LayerParams& params) const {
  for (auto& [id, linear] : params.linears) Load(id, params);
}

void LayerWeights::Release() const {
  for (const LinearShape& shape : LayerLinears(source_.spec(), layer_)) {
    source_.checkpoint().Release(source_.SourceOf(shape.id, layer_));
  }
}

LayerParams ShareSome(const LayerParams& from, const std::vector<LinearId>& ids) {
  LayerParams out;
  for (const LinearId id : ids) {
    const auto it = from.linears.find(id);
    if (it != from.linears.end()) out.linears.emplace(id, it->second.Share());
  }
  for (const auto& [role, vector] : from.vectors) out.vectors.emplace(role, vector.Share());
  for (const auto& [role, bias] : from.vector_biases) out.vector_biases.emplace(role, bias.Share());
  return out;
}

LayerParams ShareAll(const LayerParams& from) {
  LayerParams out = ShareSome(from, {});
  for (const auto& [id, linear] : from.linears) out.linears.emplace(id, linear.Share());
  return out;
}

LayerParams ShareDense(const LayerParams& from) {
  std::vector<LinearId> ids;
  for (const auto& [id, linear] : from.linears) {
    if (id.expert < 0) ids.push_back(id);
  }
  return ShareSome(from, ids);
}

LayerParams ShareExpert(const LayerParams& from, int64_t expert) {
  return ShareSome(
      from, {{Role::kExpertGate, expert}, {Role::kExpertUp, expert}, {Role::kExpertDown, expert}});
}

LayerParams ShareFeedForward(const LayerParams& from) {
  const std::set<Role> attention = {Role::kQ,  Role::kK,  Role::kV,   Role::kO,
                                    Role::kQA, Role::kQB, Role::kKvA, Role::kKvB};
  std::vector<LinearId> ids;
  for (const auto& [id, linear] : from.linears) {
    if (!attention.contains(id.role) && id.expert < 0) ids.push_back(id);
  }
  return ShareSome(from, ids);
}

void CopyVectors(LayerParams& params) {
  for (auto* vectors : {&params.vectors, &params.vector_biases}) {
    for (auto& [role, vector] : *vectors) vector = ConvertTo(vector.view(), DType::kF32);
  }
  for (auto& [id, linear] : params.linears) {
    if (!linear.bias.empty()) linear.bias = ConvertTo(linear.bias.view(), DType::kF32);
  }
}

}  // namespace awq
