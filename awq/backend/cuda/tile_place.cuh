// Where a tile of x · Wᵀ lies, by its number.
#pragma once

namespace awq::cuda {

// Tiles of m_group tiles of rows follow each other, so that their x stay in L2. A: arguments of a
// kernel, with m_tiles, n_tiles and m_group.
struct TilePlace {
  int m_tile, n_tile;
  template <typename A>
  __device__ TilePlace(const A& a, int tile) {
    const int before = tile / (a.m_group * a.n_tiles) * a.m_group;
    const int at = tile - before * a.n_tiles;
    const int rows = min(a.m_group, a.m_tiles - before);
    m_tile = before + at % rows;
    n_tile = at / rows;
  }
  template <typename Size>
  __device__ int FirstRow() const {
    return m_tile * Size::kRows;
  }
};

}  // namespace awq::cuda
