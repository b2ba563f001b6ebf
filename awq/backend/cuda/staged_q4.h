// The W4 linear for many rows of x by mma.sync (staged_linear.cuh).
#pragma once

#include "awq/backend/cuda/staged_launch.h"

namespace awq::cuda {

// For the problem's type, groups and zero points; named by rows of x and outputs.
StagedKernel Staged32x128(const LinearQ4& problem);
StagedKernel Staged64x128(const LinearQ4& problem);
StagedKernel Staged64x256(const LinearQ4& problem);
StagedKernel Staged128x128(const LinearQ4& problem);
StagedKernel Staged128x256(const LinearQ4& problem);

}  // namespace awq::cuda
