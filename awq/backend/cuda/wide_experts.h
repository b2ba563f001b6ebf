// The W4 linear of routed experts for several tokens on sm_90a (wide_experts.cuh).
#pragma once

#include <optional>

#include "awq/backend/cuda/gathered_experts.h"
#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

inline constexpr int kExpertRowTiles = 16;  // of a tile

// Whether it is faster than TiledMoeLinear, which must support the linear: of several tokens, where
// experts have a row or more on average, or four where they are large (measured,
// docs/kernels.md).
bool PrefersWideExperts(const Stack& w, const Routing& routing, const DeviceLimits& device);
// Rows of a tile, by those that experts have on average: many experts' differ more than few's.
int RowsOfWideExperts(int64_t experts, int64_t pairs);
// x: rows that 16-byte loads can read, in the plan's order. y: of pairs, or, in_order, like x.
void WideExpertsLinear(const Queue& queue, const DeviceLimits& device, const Stack& w,
                       const Routing& routing, const GatheredExperts& plan, const TensorView& x,
                       const TensorView& y, std::optional<Activation> gate, bool in_order);

}  // namespace awq::cuda
