#include "awq/model/spec.h"

#include <bit>
#include <cmath>

#include "awq/base/error.h"

namespace awq {

namespace {

using Linears = std::vector<LinearShape>;
using Vectors = std::vector<VectorShape>;

void AddLinears(const GqaSpec& a, int64_t hidden, Linears& out) {
  const int64_t q = a.heads * a.head_size;
  const int64_t kv = a.kv_heads * a.head_size;
  out.push_back({Role::kQ, q, hidden, a.qkv_bias});
  out.push_back({Role::kK, kv, hidden, a.qkv_bias});
  out.push_back({Role::kV, kv, hidden, a.qkv_bias});
  out.push_back({Role::kO, hidden, q, a.o_bias});
}

void AddLinears(const MlaSpec& a, int64_t hidden, Linears& out) {
  const int64_t q = a.heads * a.qk_size();
  // Without a latent vector of their own, q_a gives the queries themselves.
  const bool latent = a.q_rank > 0;
  out.push_back({Role::kQA, latent ? a.q_rank : q, hidden, latent && a.bias});
  out.push_back({Role::kKvA, a.latent_size(), hidden, a.bias});
  if (latent) out.push_back({Role::kQB, q, a.q_rank});
  out.push_back({Role::kKvB, a.heads * (a.nope_size + a.v_size), a.kv_rank});
  out.push_back({Role::kO, hidden, a.heads * a.v_size, a.bias});
}

void AddLinears(const MlpSpec& f, int64_t hidden, Linears& out) {
  if (f.gated) out.push_back({Role::kGate, f.size, hidden, f.bias});
  out.push_back({Role::kUp, f.size, hidden, f.bias});
  out.push_back({Role::kDown, hidden, f.size, f.bias});
}

void AddLinears(const MoeSpec& f, int64_t hidden, Linears& out) {
  out.push_back({Role::kRouter, f.experts, hidden, false, false});
  if (f.shared_gate) out.push_back({Role::kSharedRouter, 1, hidden, false, false});
  if (f.shared_size > 0) {
    out.push_back({Role::kSharedGate, f.shared_size, hidden});
    out.push_back({Role::kSharedUp, f.shared_size, hidden});
    out.push_back({Role::kSharedDown, hidden, f.shared_size});
  }
  for (int64_t e = 0; e < f.experts; ++e) {
    out.push_back({{Role::kExpertGate, e}, f.size, hidden});
    out.push_back({{Role::kExpertUp, e}, f.size, hidden});
    out.push_back({{Role::kExpertDown, e}, hidden, f.size});
  }
}

void AddNorm(Role role, int64_t size, const NormSpec& norm, Vectors& out) {
  if (norm.type != NormType::kNone && norm.affine) out.push_back(ShapeOf(role, size, norm));
}

void AddVectors(const GqaSpec& a, const NormSpec& norm, Vectors& out) {
  if (a.qk_norm == QkNorm::kPerHead) {
    AddNorm(Role::kQNorm, a.head_size, norm, out);
    AddNorm(Role::kKNorm, a.head_size, norm, out);
  }
}

void AddVectors(const MlaSpec& a, const NormSpec&, Vectors& out) {
  if (a.q_rank > 0) out.push_back({Role::kQANorm, a.q_rank});
  out.push_back({Role::kKvANorm, a.kv_rank});
}

void AddVectors(const MlpSpec&, const NormSpec&, Vectors&) {}

void AddVectors(const MoeSpec& f, const NormSpec&, Vectors& out) {
  if (f.bias_correction) out.push_back({Role::kRouterBias, f.experts});
}

int64_t CachedElements(const GqaSpec& a) { return 2 * a.kv_heads * a.head_size; }
int64_t CachedElements(const MlaSpec& a) { return a.latent_size(); }

}  // namespace

std::vector<LinearShape> LayerLinears(const ModelSpec& model, int64_t layer) {
  const LayerSpec& l = model.layers[static_cast<size_t>(layer)];
  Linears out;
  const auto add = [&](const auto& part) { AddLinears(part, model.hidden, out); };
  std::visit(add, l.attention);
  std::visit(add, l.ffn);
  return out;
}

std::vector<LinearShape> QuantizableLinears(const ModelSpec& model, int64_t layer) {
  Linears out = LayerLinears(model, layer);
  std::erase_if(out, [](const LinearShape& l) { return !l.quantizable; });
  return out;
}

LinearShape LinearOf(const ModelSpec& model, int64_t layer, LinearId id) {
  for (const LinearShape& linear : LayerLinears(model, layer)) {
    if (linear.id == id) return linear;
  }
  Fail(ErrorCode::kInternal, LinearName(id), " is no linear of a layer");
}

std::vector<VectorShape> LayerVectors(const ModelSpec& model, int64_t layer) {
  const LayerSpec& l = model.layers[static_cast<size_t>(layer)];
  Vectors out;
  AddNorm(Role::kAttnNorm, model.hidden, l.norm, out);
  if (l.residual != Residual::kParallel) AddNorm(Role::kFfnNorm, model.hidden, l.norm, out);
  if (l.residual == Residual::kSandwich) {
    AddNorm(Role::kAttnPostNorm, model.hidden, l.norm, out);
    AddNorm(Role::kFfnPostNorm, model.hidden, l.norm, out);
  }
  const auto add = [&](const auto& part) { AddVectors(part, l.norm, out); };
  std::visit(add, l.attention);
  std::visit(add, l.ffn);
  return out;
}

VectorShape ShapeOf(Role role, int64_t size, const NormSpec& norm) {
  return {role, size, norm.bias, norm.offset};
}

std::vector<VectorShape> OtherVectors(const ModelSpec& model) {
  Vectors out;
  AddNorm(Role::kEmbedNorm, model.hidden, model.embed.norm, out);
  AddNorm(Role::kFinalNorm, model.hidden, model.final_norm, out);
  return out;
}

std::vector<float> AlibiSlopes(int64_t heads, double factor) {
  // 2^(-8i/n) for the largest power of two n up to H, then every second one of 2n.
  const auto n = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(heads)));
  std::vector<float> out;
  for (int64_t h = 0; h < heads; ++h) {
    const double i = h < n ? static_cast<double>(h + 1) : static_cast<double>(h - n) + 0.5;
    out.push_back(static_cast<float>(factor * std::exp2(-8 * i / static_cast<double>(n))));
  }
  return out;
}

int64_t CountParameters(const ModelSpec& model) {
  const int64_t table = model.vocab * model.embed_size();
  int64_t count = table * (model.embed.tied_head ? 1 : 2) + model.embed.positions * model.hidden;
  if (model.has_projections()) count += 2 * model.hidden * model.embed_size();
  if (model.head.bias) count += model.vocab;
  for (const VectorShape& v : OtherVectors(model)) count += v.size * (v.bias ? 2 : 1);
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    for (const LinearShape& l : LayerLinears(model, i)) count += l.n * l.k + (l.bias ? l.n : 0);
    for (const VectorShape& v : LayerVectors(model, i)) count += v.size * (v.bias ? 2 : 1);
  }
  return count;
}

int64_t KvBytesPerToken(const ModelSpec& model, int64_t bytes) {
  int64_t total = 0;
  for (const LayerSpec& l : model.layers) {
    total += bytes * std::visit([](const auto& a) { return CachedElements(a); }, l.attention);
  }
  return total;
}

}  // namespace awq
