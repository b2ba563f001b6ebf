// Base64 (RFC 4648).
#pragma once

#include <string>
#include <string_view>

namespace awq {

// Throws kCorrupt.
std::string DecodeBase64(std::string_view text);

}  // namespace awq
