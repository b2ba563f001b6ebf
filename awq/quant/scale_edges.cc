#include "awq/quant/scale_edges.h"

#include <cmath>

namespace awq {
namespace {

// Row edge.Row(c) over s[c]; a vector's element likewise.
void DivideRows(const ScaleEdge& edge, std::span<const float> s, const TensorView& w) {
  const int64_t k = w.NumElements() / w.dim(0);
  for (size_t c = 0; c < s.size(); ++c) {
    const int64_t row = edge.Row(static_cast<int64_t>(c));
    for (int64_t i = row * k; i < (row + 1) * k; ++i) StoreFloat(w, i, LoadFloat(w, i) / s[c]);
  }
}

using Edges = std::vector<ScaleEdge>;

// What reads the norm before a part, routers first.
struct Reading {
  std::vector<LinearId> linears;
  size_t routers = 0;
};
Reading Readers(const GqaSpec&) { return {{Role::kQ, Role::kK, Role::kV}}; }
Reading Readers(const MlaSpec&) { return {{Role::kQA, Role::kKvA}}; }
Reading Readers(const MlpSpec& f) {
  if (f.gated) return {{Role::kGate, Role::kUp}};
  return {{Role::kUp}};
}
Reading Readers(const MoeSpec& f) {
  Reading out{{Role::kRouter}, 1};
  const auto add = [&](LinearId id) { out.linears.push_back(id); };
  if (f.shared_gate) {
    add(Role::kSharedRouter);
    ++out.routers;
  }
  if (f.shared_size > 0) {
    add(Role::kSharedGate);
    add(Role::kSharedUp);
  }
  for (int64_t e = 0; e < f.experts; ++e) {
    add({Role::kExpertGate, e});
    add({Role::kExpertUp, e});
  }
  return out;
}

// A norm in front of linears only feeds all of them; behind a sum it is the residual itself.
void AddNormEdge(const LayerSpec& spec, Role role, Reading readers, int64_t hidden, Edges& edges) {
  if (spec.residual == Residual::kPost || !spec.norm.affine) return;
  edges.push_back({.producer = role,
                   .consumers = std::move(readers.linears),
                   .channels = hidden,
                   .unquantized = readers.routers,
                   .offset = spec.norm.offset});
}

// The edges within a part. Attention mixes values linearly and separately for each element of a
// head; a limit is not linear.
void AddInnerEdges(const GqaSpec& a, Edges& edges) {
  if (a.qkv_limit != 0) return;
  edges.push_back({.producer = Role::kV,
                   .consumers = {Role::kO},
                   .channels = a.kv_heads * a.head_size,
                   .head_size = a.head_size,
                   .repeat = a.heads / a.kv_heads});
}

void AddInnerEdges(const MlaSpec& a, Edges& edges) {
  if (a.q_rank > 0)
    edges.push_back({.producer = Role::kQANorm, .consumers = {Role::kQB}, .channels = a.q_rank});
  edges.push_back({.producer = Role::kKvANorm, .consumers = {Role::kKvB}, .channels = a.kv_rank});
  // Every head has values of its own: the rows of kv_b behind its keys.
  edges.push_back({.producer = Role::kKvB,
                   .consumers = {Role::kO},
                   .channels = a.heads * a.v_size,
                   .head_size = a.v_size,
                   .rows_per_head = a.nope_size + a.v_size,
                   .first_row = a.nope_size});
}

// activation(gate) · up is linear in up; of activations ReLU alone commutes with a scale.
void AddInnerEdges(const MlpSpec& f, Edges& edges) {
  if (f.gated || f.activation == FfnActivation::kRelu) {
    edges.push_back({.producer = Role::kUp, .consumers = {Role::kDown}, .channels = f.size});
  }
}

void AddInnerEdges(const MoeSpec& f, Edges& edges) {
  if (f.shared_size > 0)
    edges.push_back(
        {.producer = Role::kSharedUp, .consumers = {Role::kSharedDown}, .channels = f.shared_size});
  for (int64_t e = 0; e < f.experts; ++e) {
    edges.push_back({.producer = {Role::kExpertUp, e},
                     .consumers = {{Role::kExpertDown, e}},
                     .channels = f.size});
  }
}

}  // namespace

std::vector<ScaleEdge> DeriveScaleEdges(const ModelSpec& model, int64_t layer) {
  const LayerSpec& spec = model.layers[static_cast<size_t>(layer)];
  Edges edges;
  const auto readers = [](const auto& part) { return Readers(part); };
  const auto inner = [&](const auto& part) { AddInnerEdges(part, edges); };
  Reading attention = std::visit(readers, spec.attention);
  Reading ffn = std::visit(readers, spec.ffn);
  const bool one_norm = spec.residual == Residual::kParallel;
  if (one_norm) {
    attention.linears.insert(attention.linears.end(), ffn.linears.begin(), ffn.linears.end());
  }
  AddNormEdge(spec, Role::kAttnNorm, std::move(attention), model.hidden, edges);
  std::visit(inner, spec.attention);
  if (!one_norm) AddNormEdge(spec, Role::kFfnNorm, std::move(ffn), model.hidden, edges);
  std::visit(inner, spec.ffn);
  return edges;
}

const TensorView& DenseWeight(const LayerParams& layer, LinearId id) {
  return std::get<Tensor>(layer.linears.at(id).weight).view();
}

void AdjustToStored(const ScaleEdge& edge, const LayerParams& layer, DType type,
                    std::span<float> s) {
  const auto norm = layer.vectors.find(edge.producer.role);
  if (norm == layer.vectors.end()) return;
  for (size_t c = 0; c < s.size(); ++c) {
    const float w = norm->second.As<const float>()[c];
    const auto offset = static_cast<float>(edge.offset);
    const float stored = RoundTo(type, w / s[c] - offset) + offset;
    s[c] = stored != 0 && w != 0 && std::isfinite(stored) ? w / stored : 1.0f;
  }
}

void ScaleColumns(const TensorView& w, std::span<const float> by) {
  const auto values = w.Span<float>();
  for (size_t row = 0; row < values.size(); row += by.size()) {
    for (size_t c = 0; c < by.size(); ++c) values[row + c] *= by[c];
  }
}

void ApplyScale(const ScaleEdge& edge, std::span<const float> s, LayerParams& layer) {
  AWQ_CHECK(static_cast<int64_t>(s.size()) == edge.channels, kInternal, "a scale of ", s.size(),
            " for ", edge.channels, " channels");
  const auto vector = layer.vectors.find(edge.producer.role);
  if (vector != layer.vectors.end()) {
    DivideRows(edge, s, vector->second.view());
    const auto bias = layer.vector_biases.find(edge.producer.role);
    if (bias != layer.vector_biases.end()) DivideRows(edge, s, bias->second.view());
  } else {
    LinearWeight& producer = layer.linears.at(edge.producer);
    const auto* quantized = std::get_if<QuantizedWeight>(&producer.weight);
    DivideRows(edge, s,
               quantized ? quantized->scales.view() : std::get<Tensor>(producer.weight).view());
    if (!producer.bias.empty()) DivideRows(edge, s, producer.bias.view());
  }
  for (LinearId id : edge.consumers) {
    const TensorView& w = DenseWeight(layer, id);
    std::vector<float> columns;
    for (int64_t c = 0; c < w.dim(1); ++c) {
      columns.push_back(s[static_cast<size_t>(edge.Channel(c))]);
    }
    ScaleColumns(w, columns);
  }
}

}  // namespace awq
