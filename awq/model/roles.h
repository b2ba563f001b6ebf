// Role: what a weight is for, the same in every architecture.
#pragma once

#include <string_view>

namespace awq {

enum class Role {
  kEmbed,      // token embedding [V, D]
  kFinalNorm,  // [D]
  kHead,       // output projection [V, D]
  kAttnNorm,   // norm before attention [D]
  kQ,          // [H·d, D]
  kK,          // [G·d, D]
  kV,          // [G·d, D]
  kO,          // [D, H·d]
  kQNorm,      // per-head norm of queries [d]
  kKNorm,      // per-head norm of keys [d]
  kFfnNorm,    // norm before the feed-forward part [D]
  kGate,       // [F, D]
  kUp,         // [F, D]
  kDown,       // [D, F]
};

// Short name for people, as in progress tables: "q", "gate", "attn_norm".
std::string_view RoleName(Role role);

}  // namespace awq
