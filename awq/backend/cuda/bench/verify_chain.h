// Chains of linears: a kernel that read x before its predecessor had finished would differ.
#pragma once

#include <string_view>

#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

// y = W·(W·(… x)) by each kernel whose name holds `pattern`, and by all of them in turn, with
// overlapped launches equals the same chain without, bit for bit. Prints and counts what differs.
int VerifyChains(const DeviceLimits& device, std::string_view pattern);

}  // namespace awq::cuda
