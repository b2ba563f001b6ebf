// Test helper: which backends this machine can run.
#pragma once

#include <string_view>

#include "awq/backend/make_backend.h"

namespace awq::testing {

inline bool HasBackend(std::string_view name) {
  try {
    MakeBackend(name);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace awq::testing
