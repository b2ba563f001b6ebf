#include "awq/model/roles.h"

namespace awq {

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kEmbed:
      return "embed";
    case Role::kEmbedNorm:
      return "embed_norm";
    case Role::kEmbedProjection:
      return "embed_projection";
    case Role::kPositions:
      return "positions";
    case Role::kHeadProjection:
      return "head_projection";
    case Role::kAttnPostNorm:
      return "attn_post_norm";
    case Role::kFfnPostNorm:
      return "ffn_post_norm";
    case Role::kFinalNorm:
      return "final_norm";
    case Role::kHead:
      return "head";
    case Role::kAttnNorm:
      return "attn_norm";
    case Role::kQ:
      return "q";
    case Role::kK:
      return "k";
    case Role::kV:
      return "v";
    case Role::kO:
      return "o";
    case Role::kQNorm:
      return "q_norm";
    case Role::kKNorm:
      return "k_norm";
    case Role::kFfnNorm:
      return "ffn_norm";
    case Role::kGate:
      return "gate";
    case Role::kUp:
      return "up";
    case Role::kDown:
      return "down";
    case Role::kQA:
      return "q_a";
    case Role::kQANorm:
      return "q_a_norm";
    case Role::kQB:
      return "q_b";
    case Role::kKvA:
      return "kv_a";
    case Role::kKvANorm:
      return "kv_a_norm";
    case Role::kKvB:
      return "kv_b";
    case Role::kRouter:
      return "router";
    case Role::kRouterBias:
      return "router_bias";
    case Role::kExpertGate:
      return "expert_gate";
    case Role::kExpertUp:
      return "expert_up";
    case Role::kExpertDown:
      return "expert_down";
    case Role::kSharedRouter:
      return "shared_router";
    case Role::kSharedGate:
      return "shared_gate";
    case Role::kSharedUp:
      return "shared_up";
    case Role::kSharedDown:
      return "shared_down";
  }
  return "";
}

std::string LinearName(LinearId id) {
  std::string name(RoleName(id.role));
  if (id.expert >= 0) name += " " + std::to_string(id.expert);
  return name;
}

}  // namespace awq
