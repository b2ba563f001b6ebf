// Times attention on the shapes of Llama-3-8B: a prompt, and steps of many sequences.
#pragma once

#include <vector>

#include "awq/backend/cuda/bench/timing.h"

namespace awq::cuda {

// With caches of F16 and of E4M3. The limit is the larger of the bytes of keys and values over
// read_tbps and the operations over fp16_tflops; there is no baseline. Prints a row each.
std::vector<Measurement> TimeAttention(const DeviceLimits& device, const Ceilings& ceilings);

}  // namespace awq::cuda
