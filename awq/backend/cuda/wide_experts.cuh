// Pieces of work of wide_linear.cuh for routed experts: tiles of rows, each of one expert.
#pragma once

#include "awq/backend/cuda/routed_store.cuh"
#include "awq/backend/cuda/wide_linear.cuh"

namespace awq::cuda {

// A tile of rows of x in the order of experts, and a tile of outputs; all of the inputs.
struct RoutedItem : ItemOfBlock {
  static constexpr bool kRouted = true;
  ExpertTile tile;
  int begin = 0;
  int end, n_tile;
  __device__ RoutedItem(const WideArgs& a, int item)
      : tile(a.routing.tiles[item / a.n_tiles]), end(a.blocks_per_row), n_tile(item % a.n_tiles) {}
  __device__ static int Count(const WideArgs& a) { return *a.routing.tile_count * a.n_tiles; }
  template <typename Size>
  __device__ int FirstRow() const {
    return tile.begin;
  }
  __device__ const void* Weights(const WideArgs& a) const { return a.experts + tile.expert; }

  // This thread's sums: rows m, m + 1, m + 8, m + 9 … of the tile, outputs n and n + 1.
  template <typename T, int kM>
  __device__ void Store(const WideArgs& a, int m, int n, const float (&acc)[kM / 2]) const {
    StoreRouted<T, kM>(a, tile, m, n, acc);
  }
};

}  // namespace awq::cuda
