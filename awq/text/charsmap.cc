#include "awq/text/charsmap.h"

#include <cstring>

#include "awq/base/error.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

// A unit: bits 0-7 and 31 its label (bit 31 marks a value), 8 whether it has a value, 9 whether
// the offset to its children, bits 10-30, is shifted by another 8.
bool HasValue(uint32_t unit) { return ((unit >> 8) & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7fffffffu; }
uint32_t Label(uint32_t unit) { return unit & 0x800000ffu; }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200u) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view data) {
  uint32_t bytes = 0;
  AWQ_CHECK(data.size() >= sizeof bytes, kCorrupt, "precompiled_charsmap of ", data.size(),
            " bytes");
  std::memcpy(&bytes, data.data(), sizeof bytes);  // little endian, as this machine
  data.remove_prefix(sizeof bytes);
  AWQ_CHECK(bytes > 0 && bytes % 4 == 0 && bytes <= data.size(), kCorrupt,
            "precompiled_charsmap: a trie of ", bytes, " bytes in ", data.size());
  units_.resize(bytes / 4);
  std::memcpy(units_.data(), data.data(), bytes);
  replacements_ = data.substr(bytes);
  AWQ_CHECK(IsValidUtf8(replacements_), kCorrupt,
            "precompiled_charsmap: replacements that are no UTF-8");
}

std::optional<Charsmap::Match> Charsmap::Find(std::string_view text, bool longest) const {
  std::optional<Match> found;
  const auto at = [&](uint32_t i) { return i < units_.size() ? units_[i] : 0; };
  uint32_t node = Offset(at(0));
  for (size_t i = 0; i < text.size(); ++i) {
    const uint32_t byte = static_cast<unsigned char>(text[i]);
    if (byte == 0) break;
    node ^= byte;
    const uint32_t unit = at(node);
    if (node >= units_.size() || Label(unit) != byte) break;
    node ^= Offset(unit);
    if (!HasValue(unit)) continue;
    const uint32_t begin = Value(at(node));
    if (begin > replacements_.size()) break;
    const std::string_view rest = std::string_view(replacements_).substr(begin);
    found = Match{i + 1, rest.substr(0, rest.find('\0'))};
    if (!longest) break;
  }
  return found;
}

}  // namespace awq
