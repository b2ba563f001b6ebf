// Rows of x in the order of the experts that they are routed to, and tiles of them: what kernels
// want that keep x in shared memory (wide_experts.h, staged_experts.h).
#pragma once

#include <cstdint>

#include "awq/backend/cuda/expert_tiles.h"
#include "awq/backend/cuda/experts.h"
#include "awq/backend/cuda/launch.h"

namespace awq::cuda {

struct GatheredExperts {
  int rows;  // of a tile at most
  ExpertTiles tiles;
  TensorView x;  // [pairs, K]
};

// Bytes of the workspace.
int64_t GatheredBytes(const Routing& routing, int64_t experts, int rows, const TensorView& x);
// x: rows that 16-byte loads can read. One kernel plans and copies. Asynchronous.
GatheredExperts GatherExperts(const Queue& queue, const Routing& routing, int64_t experts, int rows,
                              const TensorView& x, void* workspace);

// Whether, of several tokens, experts have so many rows on average: those of small weights, and of
// weights from 32 · 2^20 on.
bool HaveRows(const Stack& w, const Routing& routing, int64_t of_small, int64_t of_large);

// What such kernels know of a routing. pairs: whose rows of y they are; null: as they are.
struct ExpertRouting {
  const int* tile_count = nullptr;
  const ExpertTile* tiles = nullptr;
  const int* pairs = nullptr;
  const StackedWeight* stack = nullptr;
  int form = 0;  // of the weights that the kernel is for
};
// in_order: rows of y lie as those of the plan.
ExpertRouting RoutingOf(const GatheredExperts& plan, const Stack& w, const Routing& routing,
                        bool in_order);

}  // namespace awq::cuda
