// One side of a product (tiles.h) in the form that the matrix tiles of x86 read. Only for files
// that hold AWQ_TILES code.
#pragma once

#include <cstdint>

#include "awq/backend/cpu/tiles.h"

#if defined(__x86_64__) && defined(__linux__)
#define AWQ_HAS_TILES 1

#define AWQ_TILES \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

namespace awq::cpu {

inline constexpr int64_t kTileLanes = 16;
inline constexpr int64_t kTileDepth = 32;                      // bf16 in a row of a tile
inline constexpr int64_t kTileSize = kTileLanes * kTileDepth;  // bf16 of a tile

// How many bf16 stand for each element of x in a product of `parts` (TileTask).
inline int PartsOf(const TileOperand& x, int parts) { return x.bf16 ? 1 : parts; }

// to = [part][tile] of lanes [lane, lane + 16) and depths [k, k + depth), depth ≤ 32; zeros where
// there is nothing. Rows of a tile are lanes on the left side, pairs of depths on the right one.
void PackTile(const TileOperand& x, int64_t lane, int64_t k, int64_t depth, bool left, int parts,
              uint16_t* to);

}  // namespace awq::cpu

#endif
