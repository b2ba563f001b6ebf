// What the matrix tiles of x86 do: panels of packed tiles (tile_pack.h) multiplied.
#pragma once

#include "awq/backend/cpu/tile_pack.h"

#ifdef AWQ_HAS_TILES

namespace awq::cpu {

inline constexpr int64_t kPairLanes = 2 * kTileLanes;  // rows and columns of sums held in tiles

// Two panels of one side, [depth / 32][part][tile].
struct PanelPair {
  const uint16_t* data;
  int64_t step;  // from one to the other
};

// Around multiplications, on the thread that makes them.
void ConfigureTiles();
void ReleaseTiles();

// c[32, 32] += a · b over `tiles` tiles of depth. Parts of the left and the right side: 2 and 2, 3
// and 3, or 3 and 1.
void MultiplyPanels(int left, int right, const PanelPair& a, const PanelPair& b, int64_t tiles,
                    float* c);

}  // namespace awq::cpu

#endif
