// Hashes of short strings and pairs of ids, for tables inside this folder.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace awq {

inline uint64_t MixHash(uint64_t x) {
  x ^= x >> 32;
  x *= 0x9e3779b97f4a7c15ull;
  return x ^ (x >> 29);
}

inline uint64_t HashBytes(std::string_view s) {
  uint64_t h = 0x2545f4914f6cdd1dull ^ s.size();
  while (s.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, s.data(), 8);
    h = MixHash(h ^ word);
    s.remove_prefix(8);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, s.data(), s.size());
  return MixHash(MixHash(h ^ tail));
}

}  // namespace awq
