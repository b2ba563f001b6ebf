#include "awq/quant/scale_edges.h"

namespace awq {

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

void ApplyScale(const ScaleEdge& edge, std::span<const float> s, LayerParams& layer) {
  AWQ_CHECK(static_cast<int64_t>(s.size()) == edge.channels, kInternal, "a scale of ", s.size(),
            " for ", edge.channels, " channels");
  const auto vector = layer.vectors.find(edge.producer);
  if (vector != layer.vectors.end()) {
    float* w = vector->second.As<float>();
    for (size_t c = 0; c < s.size(); ++c) w[c] /= s[c];
  } else {
    const TensorView& w = DenseWeight(layer, edge.producer);
    const int64_t k = w.dim(1);
    for (int64_t r = 0; r < edge.channels; ++r) {
      float* row = w.As<float>() + r * k;
      for (int64_t c = 0; c < k; ++c) row[c] /= s[static_cast<size_t>(r)];
    }
    const Tensor& bias = layer.linears.at(edge.producer).bias;
    if (!bias.empty()) {
      for (size_t c = 0; c < s.size(); ++c) bias.As<float>()[c] /= s[c];
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
