// Mixtral: the Mistral block with routed experts in place of the MLP.
#include "awq/base/error.h"
#include "awq/model/arch/architectures.h"

namespace awq {

void CheckMoe(const Json& config, const MoeSpec& moe) {
  constexpr int64_t kMostExperts = 4096;
  AWQ_CHECK(moe.experts <= kMostExperts, kUnsupported, config.Where(), ": ", moe.experts,
            " experts a layer; supported: up to ", kMostExperts);
  AWQ_CHECK(moe.experts % moe.groups == 0 && moe.active_groups <= moe.groups, kCorrupt,
            config.Where(), ": ", moe.active_groups, " of ", moe.groups, " groups of ", moe.experts,
            " experts cannot be chosen");
  const int64_t per_group = moe.experts / moe.groups;
  AWQ_CHECK(moe.active <= moe.active_groups * per_group, kCorrupt, config.Where(),
            ": num_experts_per_tok: expected at most ", moe.active_groups * per_group, ", found ",
            moe.active);
  AWQ_CHECK(moe.group_rank != GroupRank::kTopTwo || per_group >= 2, kCorrupt, config.Where(), ": ",
            moe.groups, " groups of ", moe.experts,
            " experts: expected at least two experts in each");
}

ModelSpec MixtralSpec(const Json& config) {
  ModelSpec m = LlamaSpec(config);
  MoeSpec moe;
  moe.size = MlpOf(m.layers.front()).size;
  moe.activation = MlpOf(m.layers.front()).activation;
  moe.experts = PositiveInt(config, "num_local_experts");
  moe.active = PositiveInt(config, "num_experts_per_tok");
  CheckMoe(config, moe);
  const int64_t window = config.Has("sliding_window") ? PositiveInt(config, "sliding_window") : 0;
  for (LayerSpec& layer : m.layers) {
    GqaSpec& a = GqaOf(layer);
    a.qkv_bias = a.o_bias = false;
    a.window = window;
    layer.ffn = moe;
  }
  return m;
}

NameMap MixtralNames(const Json& config) {
  const std::string moe = "model.layers.{L}.block_sparse_moe.";
  return LlamaNames(config)
      .With(Role::kRouter, moe + "gate")
      .With(Role::kExpertGate, moe + "experts.{E}.w1")
      .With(Role::kExpertUp, moe + "experts.{E}.w3")
      .With(Role::kExpertDown, moe + "experts.{E}.w2");
}

}  // namespace awq
