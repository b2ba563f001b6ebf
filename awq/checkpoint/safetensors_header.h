// The header of a safetensors file: parsed, and proved to describe the file it stands in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "awq/base/tensor.h"

namespace awq {

struct SafetensorsEntry {
  std::string type;  // as the file spells it; may be one that we do not know
  int rank = 0;      // may exceed kMaxRank; then `shape` is left empty
  Shape shape;
  int64_t begin = 0;  // bytes from the start of the file
  int64_t end = 0;
};

// Move-only: the index points into the names.
struct SafetensorsHeader {
  SafetensorsHeader() = default;
  SafetensorsHeader(SafetensorsHeader&&) = default;
  SafetensorsHeader& operator=(SafetensorsHeader&&) = default;

  std::vector<std::string> names;  // sorted by position in the file
  std::vector<SafetensorsEntry> entries;
  std::unordered_map<std::string_view, size_t> index;
  std::map<std::string, std::string> metadata;
};

// The reference implementation's limit on the JSON text.
inline constexpr int64_t kMaxHeaderBytes = 100'000'000;

// `file` is the whole file. Every entry lies inside it, they tile the data without gap or overlap,
// and for element types that we know the shape gives the number of bytes. Throws kCorrupt naming
// `origin`, the tensor, expected and found.
SafetensorsHeader ParseSafetensorsHeader(std::span<const std::byte> file,
                                         const std::string& origin);

}  // namespace awq
