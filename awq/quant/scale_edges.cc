#include "awq/quant/scale_edges.h"

#include <cmath>

namespace awq {
namespace {

void DivideRows(const TensorView& w, std::span<const float> s) {
  const int64_t k = w.dim(1);
  for (int64_t i = 0; i < w.NumElements(); ++i) {
    StoreFloat(w, i, LoadFloat(w, i) / s[static_cast<size_t>(i / k)]);
  }
}

}  // namespace

std::vector<ScaleEdge> DeriveScaleEdges(const ModelSpec& model, int64_t layer) {
  const LayerSpec& spec = model.layers[static_cast<size_t>(layer)];
  const GqaSpec& a = spec.attention;
  std::vector<ScaleEdge> edges;
  // A norm in front of linears only feeds all of them.
  edges.push_back({Role::kAttnNorm, {Role::kQ, Role::kK, Role::kV}, model.hidden});
  // Attention mixes values linearly and separately for each element of a head.
  edges.push_back(
      {Role::kV, {Role::kO}, a.kv_heads * a.head_size, a.head_size, a.heads / a.kv_heads});
  edges.push_back({Role::kFfnNorm, {Role::kGate, Role::kUp}, model.hidden});
  // activation(gate) · up is linear in up.
  edges.push_back({Role::kUp, {Role::kDown}, spec.mlp.size});
  return edges;
}

const TensorView& DenseWeight(const LayerParams& layer, Role role) {
  return std::get<Tensor>(layer.linears.at(role).weight).view();
}

void AdjustToStored(const ScaleEdge& edge, const LayerParams& layer, DType type,
                    std::span<float> s) {
  const auto norm = layer.vectors.find(edge.producer);
  if (norm == layer.vectors.end()) return;
  for (size_t c = 0; c < s.size(); ++c) {
    const float w = norm->second.As<const float>()[c];
    const float stored = RoundTo(type, w / s[c]);
    s[c] = stored != 0 && w != 0 && std::isfinite(stored) ? w / stored : 1.0f;
  }
}

void ApplyScale(const ScaleEdge& edge, std::span<const float> s, LayerParams& layer) {
  AWQ_CHECK(static_cast<int64_t>(s.size()) == edge.channels, kInternal, "a scale of ", s.size(),
            " for ", edge.channels, " channels");
  const auto vector = layer.vectors.find(edge.producer);
  if (vector != layer.vectors.end()) {
    float* w = vector->second.As<float>();
    for (size_t c = 0; c < s.size(); ++c) w[c] /= s[c];
  } else {
    LinearWeight& producer = layer.linears.at(edge.producer);
    const auto* quantized = std::get_if<QuantizedWeight>(&producer.weight);
    DivideRows(quantized ? quantized->scales.view() : std::get<Tensor>(producer.weight).view(), s);
    if (!producer.bias.empty()) {
      for (size_t c = 0; c < s.size(); ++c) producer.bias.As<float>()[c] /= s[c];
    }
  }
  for (Role role : edge.consumers) {
    const TensorView& w = DenseWeight(layer, role);
    const int64_t k = w.dim(1);
    std::vector<float> columns(static_cast<size_t>(k));
    for (int64_t c = 0; c < k; ++c) {
      columns[static_cast<size_t>(c)] = s[static_cast<size_t>(edge.Channel(c))];
    }
    for (int64_t r = 0; r < w.dim(0); ++r) {
      float* row = w.As<float>() + r * k;
      for (int64_t c = 0; c < k; ++c) row[c] *= columns[static_cast<size_t>(c)];
    }
  }
}

}  // namespace awq
