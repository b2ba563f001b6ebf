#include "awq/model/spec.h"

#include "awq/base/error.h"

namespace awq {

std::vector<LinearShape> LayerLinears(const ModelSpec& model, int64_t layer) {
  const LayerSpec& l = model.layers[static_cast<size_t>(layer)];
  const GqaSpec& a = l.attention;
  const int64_t q = a.heads * a.head_size;
  const int64_t kv = a.kv_heads * a.head_size;
  return {{Role::kQ, q, model.hidden, a.qkv_bias},
          {Role::kK, kv, model.hidden, a.qkv_bias},
          {Role::kV, kv, model.hidden, a.qkv_bias},
          {Role::kO, model.hidden, q, a.o_bias},
          {Role::kGate, l.mlp.size, model.hidden, l.mlp.bias},
          {Role::kUp, l.mlp.size, model.hidden, l.mlp.bias},
          {Role::kDown, model.hidden, l.mlp.size, l.mlp.bias}};
}

LinearShape LinearOf(const ModelSpec& model, int64_t layer, Role role) {
  for (const LinearShape& linear : LayerLinears(model, layer)) {
    if (linear.role == role) return linear;
  }
  Fail(ErrorCode::kInternal, RoleName(role), " is no linear of a layer");
}

std::vector<VectorShape> LayerVectors(const ModelSpec& model, int64_t layer) {
  const GqaSpec& a = model.layers[static_cast<size_t>(layer)].attention;
  std::vector<VectorShape> out = {{Role::kAttnNorm, model.hidden}, {Role::kFfnNorm, model.hidden}};
  if (a.qk_norm == QkNorm::kPerHead) {
    out.push_back({Role::kQNorm, a.head_size});
    out.push_back({Role::kKNorm, a.head_size});
  }
  return out;
}

int64_t CountParameters(const ModelSpec& model) {
  int64_t count = model.vocab * model.hidden * (model.embed.tied_head ? 1 : 2) + model.hidden;
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    for (const LinearShape& l : LayerLinears(model, i)) count += l.n * l.k + (l.bias ? l.n : 0);
    for (const VectorShape& v : LayerVectors(model, i)) count += v.size;
  }
  return count;
}

int64_t KvBytesPerToken(const ModelSpec& model, int64_t bytes) {
  int64_t total = 0;
  for (const LayerSpec& l : model.layers) {
    total += 2 * l.attention.kv_heads * l.attention.head_size * bytes;
  }
  return total;
}

}  // namespace awq
