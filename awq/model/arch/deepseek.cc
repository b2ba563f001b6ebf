// DeepSeek-V2 and V3: latent attention (MLA); dense layers first, then routed experts in groups
// beside shared ones.
#include <algorithm>
#include <cmath>

#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {
namespace {

constexpr double kLatentEpsilon = 1e-6;  // of the latent vectors' norms, whatever rms_norm_eps says

// YaRN's temperature: beside the factor on cos and sin (RopeSpec::Magnitude), q·k grows by the
// square of this.
double ScoreMagnitude(const Json& config) {
  const bool newer = config.Has("rope_parameters");
  if (!newer && !config.Has("rope_scaling")) return 1;
  const Json scaling = config.At(newer ? "rope_parameters" : "rope_scaling");
  const double all = scaling.Double("mscale_all_dim", 0);
  const double factor = scaling.Double("factor", 1);
  return all == 0 || factor <= 1 ? 1 : 0.1 * all * std::log(factor) + 1;
}

MlaSpec ReadMla(const Json& config) {
  MlaSpec a;
  a.heads = PositiveInt(config, "num_attention_heads");
  a.q_rank = config.Has("q_lora_rank") ? PositiveInt(config, "q_lora_rank") : 0;
  a.kv_rank = PositiveInt(config, "kv_lora_rank");
  a.nope_size = PositiveInt(config, "qk_nope_head_dim");
  a.rope_size = PositiveInt(config, "qk_rope_head_dim");
  a.v_size = PositiveInt(config, "v_head_dim");
  a.bias = config.Bool("attention_bias", false);
  a.norm.epsilon = kLatentEpsilon;
  a.rope = ReadRope(config, a.rope_size);
  AWQ_CHECK(!a.rope.DependsOnLength(), kUnsupported, config.Where(),
            ": rope_scaling: frequencies that depend on the length under latent attention; "
            "supported: default, linear, yarn, llama3");
  a.rope.interleaved = config.Bool("rope_interleave", true);
  const double magnitude = ScoreMagnitude(config);
  a.scale = magnitude * magnitude / std::sqrt(static_cast<double>(a.qk_size()));
  return a;
}

// What V2 and V3 share; the routing rule is in `moe` already.
ModelSpec DeepSeekSpec(const Json& config, MoeSpec moe) {
  // Only the head size of the rotating part is looked at there, and that is set anew below.
  ModelSpec m = LlamaSpec(config, PositiveInt(config, "qk_rope_head_dim"));
  const MlaSpec attention = ReadMla(config);
  moe.activation = MlpOf(m.layers.front()).activation;
  moe.experts = PositiveInt(config, "n_routed_experts");
  moe.active = PositiveInt(config, "num_experts_per_tok");
  moe.size = PositiveInt(config, "moe_intermediate_size");
  moe.weight_scale = config.Double("routed_scaling_factor", 1);
  if (config.Has("n_shared_experts")) {
    moe.shared_size = moe.size * PositiveInt(config, "n_shared_experts");
  }
  CheckMoe(config, moe);
  AWQ_CHECK(config.Int("moe_layer_freq", 1) == 1, kUnsupported, config.Where(),
            ": moe_layer_freq: expected 1, found ", config.Int("moe_layer_freq", 1));
  const int64_t dense = config.Int("first_k_dense_replace", 0);
  for (int64_t i = 0; i < m.num_layers(); ++i) {
    LayerSpec& layer = m.layers[static_cast<size_t>(i)];
    layer.attention = attention;
    if (i >= dense) layer.ffn = moe;
  }
  return m;
}

void ReadGroups(const Json& config, MoeSpec& moe) {
  if (!config.Has("n_group")) return;
  moe.groups = PositiveInt(config, "n_group");
  moe.active_groups = PositiveInt(config, "topk_group");
}

}  // namespace

ModelSpec DeepSeekV2Spec(const Json& config) {
  MoeSpec moe;
  moe.normalize = config.Bool("norm_topk_prob", false);
  const std::string method = config.String("topk_method", std::string("greedy"));
  AWQ_CHECK(method == "greedy" || method == "group_limited_greedy", kUnsupported, config.Where(),
            ": topk_method \"", method, "\"; supported: greedy, group_limited_greedy");
  if (method != "greedy") ReadGroups(config, moe);
  return DeepSeekSpec(config, moe);
}

ModelSpec DeepSeekV3Spec(const Json& config) {
  MoeSpec moe;
  moe.score = RouterScore::kSigmoid;
  moe.bias_correction = true;
  moe.normalize = config.Bool("norm_topk_prob", true);
  moe.group_rank = GroupRank::kTopTwo;
  ReadGroups(config, moe);
  return DeepSeekSpec(config, moe);
}

NameMap DeepSeekNames(const Json& config) {
  const std::string attention = "model.layers.{L}.self_attn.";
  const std::string mlp = "model.layers.{L}.mlp.";
  return LlamaNames(config)
      .With(Role::kQA, attention + (config.Has("q_lora_rank") ? "q_a_proj" : "q_proj"))
      .With(Role::kQANorm, attention + "q_a_layernorm")
      .With(Role::kQB, attention + "q_b_proj")
      .With(Role::kKvA, attention + "kv_a_proj_with_mqa")
      .With(Role::kKvANorm, attention + "kv_a_layernorm")
      .With(Role::kKvB, attention + "kv_b_proj")
      .With(Role::kRouter, mlp + "gate")
      .With(Role::kRouterBias, mlp + "gate.e_score_correction_bias")
      .With(Role::kExpertGate, mlp + "experts.{E}.gate_proj")
      .With(Role::kExpertUp, mlp + "experts.{E}.up_proj")
      .With(Role::kExpertDown, mlp + "experts.{E}.down_proj")
      .With(Role::kSharedGate, mlp + "shared_experts.gate_proj")
      .With(Role::kSharedUp, mlp + "shared_experts.up_proj")
      .With(Role::kSharedDown, mlp + "shared_experts.down_proj");
}

}  // namespace awq
