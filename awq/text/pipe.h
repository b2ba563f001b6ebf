// What the programs that answer tools/ through pipes share: reading a request's parts from stdin,
// writing an answer (u8 status, u32 size, bytes) to stdout.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string_view>

namespace awq {

// False at the end of the input.
inline bool ReadPart(void* out, size_t size) { return std::fread(out, 1, size, stdin) == size; }

inline void WriteAnswer(char status, std::string_view answer) {
  const auto bytes = static_cast<uint32_t>(answer.size());
  std::fwrite(&status, 1, 1, stdout);
  std::fwrite(&bytes, sizeof bytes, 1, stdout);
  std::fwrite(answer.data(), 1, answer.size(), stdout);
  std::fflush(stdout);
}

}  // namespace awq
