// What the system has of memory.
#pragma once

#include <cstdint>

namespace awq {

// Bytes that processes may still take without others giving theirs up; 0 if unknown.
int64_t AvailableMemory();

}  // namespace awq
