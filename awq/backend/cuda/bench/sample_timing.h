// Times the draw of tokens against the choice of the largest logit.
#pragma once

#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

// Vocabularies of 32000 and 128256, 1, 8 and 64 rows. Also compares the tokens of one step each
// with the host's draw: prints a row each, answers how many rows differ.
int TimeSampling(const DeviceLimits& device);

}  // namespace awq::cuda
