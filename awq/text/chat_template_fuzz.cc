// Fuzz target: any bytes are either a template that renders in bounded time and memory, or an
// Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "awq/base/error.h"
#include "awq/text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  try {
    const auto chat = awq::ChatTemplate::Parse(source, {{"bos_token", "<s>"}, {"tools", nullptr}});
    (void)chat->Render({{"system", "Be brief."}, {"user", "Hi {{ x }}"}, {"assistant", ""}}, true);
  } catch (const awq::Error&) {
    // Refused: what most inputs deserve.
  }
  return 0;
}
