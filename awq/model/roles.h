// Role: what a weight is for, the same in every architecture.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace awq {

enum class Role {
  kEmbed,            // token embedding [V, E]
  kEmbedNorm,        // [D]
  kEmbedProjection,  // from the embedding to the first layer [D, E]
  kPositions,        // learned positions [P, D]
  kHeadProjection,   // from the last layer to the head [E, D]
  kFinalNorm,        // [D]
  kHead,             // output projection [V, E]
  kAttnNorm,         // norm before attention [D]
  kQ,                // [H·d, D]
  kK,                // [G·d, D]
  kV,                // [G·d, D]
  kO,                // [D, H·d]
  kQA,               // queries' latent vector [q_rank, D]
  kQANorm,           // [q_rank]
  kQB,               // queries of it [H·(nope + rope), q_rank]
  kKvA,              // latent vector and shared key [kv_rank + rope, D]
  kKvANorm,          // [kv_rank]
  kKvB,              // keys and values of it, head by head [H·(nope + v), kv_rank]
  kQNorm,            // per-head norm of queries [d]
  kKNorm,            // per-head norm of keys [d]
  kFfnNorm,          // norm before the feed-forward part [D]
  kAttnPostNorm,     // norm of what attention gives [D]
  kFfnPostNorm,      // norm of what the feed-forward part gives [D]
  kGate,             // [F, D]
  kUp,               // [F, D]
  kDown,             // [D, F]

  kRouter,        // [E, D]
  kRouterBias,    // [E]
  kExpertGate,    // of one expert [F, D]
  kExpertUp,      // [F, D]
  kExpertDown,    // [D, F]
  kSharedRouter,  // gate of the shared expert [1, D]
  kSharedGate,    // of the shared expert [F, D]
  kSharedUp,      // [F, D]
  kSharedDown,    // [D, F]
};

// Short name for people, as in progress tables: "q", "gate", "attn_norm".
std::string_view RoleName(Role role);

// One linear of a layer: its role and, of a routed expert, which one.
struct LinearId {
  Role role = Role::kQ;
  int32_t expert = -1;

  LinearId() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): most linears are known by their role alone
  LinearId(Role role, int64_t expert = -1) : role(role), expert(static_cast<int32_t>(expert)) {}
  // clang-tidy 14 takes the zero that it is compared with for a pointer.
  auto operator<=>(const LinearId&) const = default;  // NOLINT(modernize-use-nullptr)
};
// "gate"; "expert_gate 17".
std::string LinearName(LinearId id);

}  // namespace awq
