// Every row of the kernel table against float64 on random data.
#pragma once

#include <string_view>

#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

// Prints one line per failure and a summary; returns the number of failures. `small`: only shapes
// that suit a run under compute-sanitizer. `pattern`: only rows whose name holds it.
int VerifyAll(const DeviceLimits& device, bool small, std::string_view pattern);

}  // namespace awq::cuda
