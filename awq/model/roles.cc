#include "awq/model/roles.h"

namespace awq {

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kEmbed:
      return "embed";
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
  }
  return "";
}

}  // namespace awq
