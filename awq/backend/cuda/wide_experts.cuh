// Pieces of work of wide_linear.cuh for routed experts: tiles of rows, each of one expert.
#pragma once

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
  __device__ const void* Weights(const WideArgs& a) const {
    return a.routing.weights + tile.expert;
  }

  // Where a row is in y: that of its pair, or as it is.
  __device__ static int RowOfY(const WideArgs& a, int row) {
    return a.routing.pairs != nullptr ? a.routing.pairs[row] : row;
  }
  // This thread's sums: rows m, m + 1, m + 8, m + 9 … of the tile, outputs n and n + 1.
  template <typename T, int kM>
  __device__ void Store(const WideArgs& a, int m, int n, const float (&acc)[kM / 2]) const {
    const float scale = a.scale * a.routing.stack[tile.expert].scale;
    const GatedOutput gated{a.y, a.y_stride, a.n, a.gate, scale};
    const auto row_of_y = [&](int row) {
      return static_cast<T*>(a.y) + RowOfY(a, row) * a.y_stride;
    };
    if (a.gate >= 0 && a.y_pairs && n / kTileN * kTileN + kTileN <= a.n) {
      const GateBias none(gated, n);
      const auto store_all = [&](auto silu) {
        constexpr bool kSilu = decltype(silu)::value;
#pragma unroll
        for (int j = 0; j < kM / 2; j += 4) {
          const uint32_t pair =
              GatedOutputsOfRow<T, kSilu>(gated, none, acc[j], acc[j + 1], acc[j + 2], acc[j + 3]);
          const int row = tile.begin + m + 2 * j + RowOfLane();
          if (row < tile.end) *reinterpret_cast<uint32_t*>(row_of_y(row) + n / 4 * 2) = pair;
        }
      };
      return IsSilu(gated) ? store_all(std::true_type()) : store_all(std::false_type());
    }
    if (n >= a.n) return;
#pragma unroll
    for (int i = 0; i < kM / 4; ++i) {
      const int row = tile.begin + m + i / 2 * 8 + i % 2;
      if (row >= tile.end) continue;
      const float y0 = acc[i / 2 * 4 + i % 2];
      const float y1 = acc[i / 2 * 4 + i % 2 + 2];
      if (a.gate >= 0) {
        StoreGated<T>(gated, RowOfY(a, row), n, y0, y1);
        continue;
      }
      T* to = row_of_y(row) + n;
      if (a.y_pairs && n + 1 < a.n) {
        StoreBoth(to, y0 * scale, y1 * scale);
      } else {
        to[0] = FromFloat<T>(y0 * scale);
        if (n + 1 < a.n) to[1] = FromFloat<T>(y1 * scale);
      }
    }
  }
};

}  // namespace awq::cuda
