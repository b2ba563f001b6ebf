// Fuzz target: any bytes are either a tokenizer.json that encodes and decodes anything, or an
// Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "awq/base/error.h"
#include "awq/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = awq::Tokenizer::FromJson(text, "fuzz");
    // The file itself is as odd a text as any.
    (void)tokenizer->Decode(tokenizer->Encode(text.substr(0, 4096), true), false);
  } catch (const awq::Error&) {
    // Refused: what most inputs deserve.
  }
  return 0;
}
