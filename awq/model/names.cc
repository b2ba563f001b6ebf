#include "awq/model/names.h"

#include "awq/base/error.h"

namespace awq {

NameMap NameMap::With(Role role, std::string pattern) const {
  NameMap out = *this;
  out.patterns_[role] = std::move(pattern);
  return out;
}

std::string NameMap::Module(Role role, int64_t layer) const {
  const auto it = patterns_.find(role);
  AWQ_CHECK(it != patterns_.end(), kInternal, "no name for role ", RoleName(role));
  constexpr std::string_view kLayer = "{L}";
  const std::string& pattern = it->second;
  const size_t at = pattern.find(kLayer);
  if (at == std::string::npos) return pattern;
  return pattern.substr(0, at) + std::to_string(layer) + pattern.substr(at + kLayer.size());
}

}  // namespace awq
