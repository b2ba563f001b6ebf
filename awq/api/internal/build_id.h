// What cmake/BuildId.cmake writes.
#pragma once

namespace awq {
extern const char* const kBuildId;
}  // namespace awq
