// Qwen2-MoE and Qwen3-MoE: the dense block of their generation with routed experts in most layers;
// Qwen2's have a gated shared expert.
#include <algorithm>
#include <vector>

#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {
namespace {

// Puts the routed experts into the layers that have them.
void RouteLayers(const Json& config, MoeSpec moe, ModelSpec& m) {
  moe.activation = MlpOf(m.layers.front()).activation;
  moe.experts = PositiveInt(config, "num_experts");
  moe.active = PositiveInt(config, "num_experts_per_tok");
  moe.size = PositiveInt(config, "moe_intermediate_size");
  moe.normalize = config.Bool("norm_topk_prob", false);
  CheckMoe(config, moe);
  std::vector<int64_t> dense;
  if (config.Has("mlp_only_layers")) {
    for (const Json& layer : config.At("mlp_only_layers").AsArray()) dense.push_back(layer.AsInt());
  }
  const int64_t step =
      config.Has("decoder_sparse_step") ? PositiveInt(config, "decoder_sparse_step") : 1;
  for (int64_t i = 0; i < m.num_layers(); ++i) {
    if (std::find(dense.begin(), dense.end(), i) != dense.end() || (i + 1) % step != 0) continue;
    m.layers[static_cast<size_t>(i)].ffn = moe;
  }
}

NameMap WithExperts(const NameMap& names) {
  const std::string mlp = "model.layers.{L}.mlp.";
  return names.With(Role::kRouter, mlp + "gate")
      .With(Role::kExpertGate, mlp + "experts.{E}.gate_proj")
      .With(Role::kExpertUp, mlp + "experts.{E}.up_proj")
      .With(Role::kExpertDown, mlp + "experts.{E}.down_proj");
}

}  // namespace

ModelSpec Qwen2MoeSpec(const Json& config) {
  ModelSpec m = Qwen2Spec(config);
  const bool bias = config.Bool("qkv_bias", true);
  for (LayerSpec& layer : m.layers) GqaOf(layer).qkv_bias = bias;
  MoeSpec moe;
  moe.shared_size = PositiveInt(config, "shared_expert_intermediate_size");
  moe.shared_gate = true;
  RouteLayers(config, moe, m);
  return m;
}

NameMap Qwen2MoeNames(const Json& config) {
  const std::string mlp = "model.layers.{L}.mlp.";
  return WithExperts(LlamaNames(config))
      .With(Role::kSharedRouter, mlp + "shared_expert_gate")
      .With(Role::kSharedGate, mlp + "shared_expert.gate_proj")
      .With(Role::kSharedUp, mlp + "shared_expert.up_proj")
      .With(Role::kSharedDown, mlp + "shared_expert.down_proj");
}

ModelSpec Qwen3MoeSpec(const Json& config) {
  ModelSpec m = LlamaSpec(config);
  const bool bias = config.Bool("attention_bias", false);
  const bool windowed = config.Bool("use_sliding_window", false) && config.Has("sliding_window");
  const int64_t window = windowed ? PositiveInt(config, "sliding_window") : 0;
  for (LayerSpec& layer : m.layers) {
    GqaSpec& a = GqaOf(layer);
    a.qkv_bias = a.o_bias = bias;
    a.qk_norm = QkNorm::kPerHead;
    a.window = window;  // in every layer, whatever max_window_layers says
    MlpOf(layer).bias = false;
  }
  RouteLayers(config, {}, m);
  return m;
}

NameMap Qwen3MoeNames(const Json& config) { return WithExperts(Qwen3Names(config)); }

}  // namespace awq
