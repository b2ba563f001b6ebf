// The linear of routed experts by mma.sync (staged_linear.cuh).
#pragma once

#include <optional>

#include "awq/backend/cuda/gathered_experts.h"
#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

// Whether it can: weights of 4 or 8 bits in the layouts of their kernels, or as floats of the type
// of x, in any mixture; rows of x that 16-byte loads can read.
bool SupportsStagedExperts(const Stack& w, const TensorView& x, const TensorView& y,
                           const DeviceLimits& device);
// Whether it is faster than what else serves them, then: where weights are not all of one form of 4
// bits; if they are, without wgmma, for several tokens, where experts have two rows or more on
// average, or twelve where they are large (measured, docs/kernels.md).
bool PrefersStagedExperts(const Stack& w, const Routing& routing, const DeviceLimits& device);
// Rows of a tile, by those that experts have on average.
int RowsOfStagedExperts(const Stack& w, int64_t pairs, const DeviceLimits& device);
// As WideExpertsLinear.
void StagedExpertsLinear(const Queue& queue, const DeviceLimits& device, const Stack& w,
                         const Routing& routing, const GatheredExperts& plan, const TensorView& x,
                         const TensorView& y, std::optional<Activation> gate, bool in_order);

}  // namespace awq::cuda
