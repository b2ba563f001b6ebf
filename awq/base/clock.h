// Time that has passed, in seconds.
#pragma once

#include <chrono>

namespace awq {

using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace awq
