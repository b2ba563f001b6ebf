// The W4 linear of routed experts for several tokens on sm_90a (wide_experts.cuh).
#pragma once

#include <optional>

#include "awq/backend/cuda/experts.h"
#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

inline constexpr int kExpertRowTiles = 16;  // of a tile

// Whether it is faster than TiledMoeLinear, which must support the linear: of several tokens, where
// experts have three quarters of a row or more on average, or four where they are large (measured,
// docs/kernels.md).
bool PrefersWideExperts(const Stack& w, const Routing& routing, const DeviceLimits& device);
int64_t WideExpertsWorkspace(const Stack& w, int64_t pairs);
// As TiledMoeLinear.
void WideExpertsLinear(const Queue& queue, const DeviceLimits& device, const Stack& w,
                       const Routing& routing, const TensorView& x, const TensorView& y,
                       void* workspace, std::optional<Activation> gate = {});

}  // namespace awq::cuda
