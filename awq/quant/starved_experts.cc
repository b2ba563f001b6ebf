#include "awq/quant/starved_experts.h"

#include <algorithm>

namespace awq {

void StarvedExperts::Note(const LinearOutcome& outcome) {
  if (outcome.id.role != Role::kExpertGate || outcome.tokens < 0) return;
  ++experts_[outcome.layer];
  if (outcome.tokens < kFewTokens) {
    by_layer_[outcome.layer].push_back({outcome.id.expert, outcome.tokens});
  }
}

std::vector<std::string> StarvedExperts::Warnings() const {
  constexpr size_t kNamed = 8;
  std::vector<std::string> out;
  for (const auto& [layer, experts] : by_layer_) {
    std::string list;
    for (size_t i = 0; i < std::min(experts.size(), kNamed); ++i) {
      list += Cat(i > 0 ? ", " : "", experts[i].index, " (", experts[i].tokens, " tokens)");
    }
    if (experts.size() > kNamed) list += Cat(" and ", experts.size() - kNamed, " more");
    out.push_back(Cat("layer ", layer, ": experts ", list, " of ", experts_.at(layer),
                      " read fewer than ", kFewTokens,
                      " calibration tokens: rounded by their weights alone; more samples help"));
  }
  return out;
}

}  // namespace awq
