// The W4 linear of routed experts for several tokens by mma.sync (staged_linear.cuh).
#pragma once

#include <optional>

#include "awq/backend/cuda/gathered_experts.h"
#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

// Whether it is faster than TiledMoeLinear, which must support the linear: of several tokens, where
// experts have two rows or more on average, or twelve where they are large (measured,
// docs/kernels.md).
bool PrefersStagedExperts(const Stack& w, const Routing& routing, const DeviceLimits& device);
// Rows of a tile, by those that experts have on average.
int RowsOfStagedExperts(int64_t experts, int64_t pairs, const DeviceLimits& device);
// As WideExpertsLinear.
void StagedExpertsLinear(const Queue& queue, const DeviceLimits& device, const Stack& w,
                         const Routing& routing, const GatheredExperts& plan, const TensorView& x,
                         const TensorView& y, std::optional<Activation> gate, bool in_order);

}  // namespace awq::cuda
