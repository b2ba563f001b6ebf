#include "awq/model/names.h"

#include <algorithm>

#include "awq/base/error.h"

namespace awq {
namespace {

void Replace(std::string& text, std::string_view mark, int64_t number) {
  const size_t at = text.find(mark);
  if (at != std::string::npos) text.replace(at, mark.size(), std::to_string(number));
}

}  // namespace

NameMap NameMap::With(Role role, std::string pattern) const {
  NameMap out = *this;
  out.patterns_[role] = std::move(pattern);
  return out;
}

int64_t FusedLinear::Row(std::span<const int64_t> rows, size_t part, int64_t row) const {
  int64_t block = 0;   // rows of one
  int64_t before = 0;  // of those, of earlier parts
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i < part) before += rows[i] / groups;
    block += rows[i] / groups;
  }
  const int64_t share = rows[part] / groups;
  return row / share * block + before + row % share;
}

NameMap NameMap::Fused(std::vector<Role> roles, const std::string& pattern, int64_t groups) const {
  NameMap out = *this;
  for (Role role : roles) out.patterns_[role] = pattern;
  out.fused_.push_back({std::move(roles), groups});
  return out;
}

NameMap NameMap::WithoutPrefix(const std::string& prefix) const {
  NameMap out = *this;
  for (auto& [role, pattern] : out.patterns_) {
    if (pattern.starts_with(prefix)) pattern.erase(0, prefix.size());
  }
  return out;
}

const FusedLinear* NameMap::FusedOf(Role role) const {
  for (const FusedLinear& fused : fused_) {
    if (std::find(fused.roles.begin(), fused.roles.end(), role) != fused.roles.end()) return &fused;
  }
  return nullptr;
}

std::string NameMap::Module(LinearId id, int64_t layer) const {
  const auto it = patterns_.find(id.role);
  AWQ_CHECK(it != patterns_.end(), kInternal, "no name for role ", RoleName(id.role));
  std::string out = it->second;
  Replace(out, "{L}", layer);
  Replace(out, "{E}", id.expert);
  return out;
}

}  // namespace awq
