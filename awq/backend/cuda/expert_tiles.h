// Tiles of rows of routed experts, worked out on the device: a step can be recorded whatever it
// routes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "awq/backend/cuda/launch.h"
#include "awq/ops/args.h"

namespace awq::cuda {

// pairs[begin … end) of a routing, all of one expert.
struct ExpertTile {
  int expert, begin, end;
};

// What a plan fills, in memory of its own on the device.
struct ExpertTiles {
  int* count = nullptr;
  ExpertTile* tiles = nullptr;

  static int64_t Most(int64_t pairs, int64_t experts, int64_t rows) {
    return std::min(pairs, pairs / rows + experts);
  }
  static int64_t NumBytes(int64_t pairs, int64_t experts, int64_t rows) {
    const int64_t bytes = 16 + Most(pairs, experts, rows) * int64_t{sizeof(ExpertTile)};
    return (bytes + 127) / 128 * 128;
  }
  explicit ExpertTiles(void* memory)
      : count(static_cast<int*>(memory)),
        tiles(reinterpret_cast<ExpertTile*>(static_cast<char*>(memory) + 16)) {}
};

// Tiles of at most `rows` pairs, those of expert 0 first. Asynchronous.
void PlanExpertTiles(const Queue& queue, const Routing& routing, int64_t experts, int rows,
                     const ExpertTiles& out);

}  // namespace awq::cuda
