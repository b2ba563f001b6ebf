// NameMap: role ↔ module path in a checkpoint, "{L}" standing for the layer.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "awq/model/roles.h"

namespace awq {

class NameMap {
 public:
  NameMap(std::initializer_list<std::pair<const Role, std::string>> patterns)
      : patterns_(patterns) {}
  // A copy with one more (or another) pattern.
  NameMap With(Role role, std::string pattern) const;

  bool Has(Role role) const { return patterns_.contains(role); }
  // The module path, e.g. "model.layers.3.self_attn.q_proj"; `layer` is ignored outside layers.
  std::string Module(Role role, int64_t layer = 0) const;
  std::string Weight(Role role, int64_t layer = 0) const { return Module(role, layer) + ".weight"; }
  std::string Bias(Role role, int64_t layer = 0) const { return Module(role, layer) + ".bias"; }

 private:
  std::map<Role, std::string> patterns_;
};

}  // namespace awq
