// NameMap: role ↔ module path in a checkpoint, "{L}" standing for the layer and "{E}"
// for the expert.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "awq/model/roles.h"

namespace awq {

// Several linears of one input that a checkpoint keeps as one module. Its rows are `groups` blocks,
// each with a share of every part in turn: one block (Phi-3: all of q, of k, of v), or one a kv
// head (Falcon: its queries, its key, its value; Bloom, GPT-NeoX: the same of every head).
struct FusedLinear {
  std::vector<Role> roles;
  int64_t groups = 1;

  // The module's row of row `row` of part `part`; `rows` are those of all parts.
  int64_t Row(std::span<const int64_t> rows, size_t part, int64_t row) const;
};

class NameMap {
 public:
  NameMap(std::initializer_list<std::pair<const Role, std::string>> patterns)
      : patterns_(patterns) {}
  // A copy with one more (or another) pattern.
  NameMap With(Role role, std::string pattern) const;
  // A copy where `roles` are parts of one module.
  NameMap Fused(std::vector<Role> roles, const std::string& pattern, int64_t groups = 1) const;
  // A copy without `prefix` at the beginning of every pattern that has it.
  NameMap WithoutPrefix(const std::string& prefix) const;

  bool Has(Role role) const { return patterns_.contains(role); }
  // Null for a role with a module of its own.
  const FusedLinear* FusedOf(Role role) const;
  // The module path, e.g. "model.layers.3.self_attn.q_proj"; `layer` is ignored outside layers.
  std::string Module(LinearId id, int64_t layer = 0) const;
  // Its weight; a router's bias is no module with a weight but a tensor of that name.
  std::string Weight(LinearId id, int64_t layer = 0) const {
    return Module(id, layer) + (id.role == Role::kRouterBias ? "" : ".weight");
  }
  std::string Bias(LinearId id, int64_t layer = 0) const { return Module(id, layer) + ".bias"; }

 private:
  std::map<Role, std::string> patterns_;
  std::vector<FusedLinear> fused_;
};

}  // namespace awq
