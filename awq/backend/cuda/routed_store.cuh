// The end of a tile of routed experts' rows (gathered_experts.h); as tile_store.cuh.
#pragma once

#include "awq/backend/cuda/gathered_experts.h"
#include "awq/backend/cuda/tile_store.cuh"

namespace awq::cuda {

// Where a row is in y: that of its pair, or as it is.
__device__ inline int RowOfY(const ExpertRouting& routing, int row) {
  return routing.pairs != nullptr ? routing.pairs[row] : row;
}

// This thread's sums: rows m, m + 1, m + 8, m + 9 … of the tile, outputs n and n + 1.
template <typename T, int kM, typename A>
__device__ inline void StoreRouted(const A& a, const ExpertTile& tile, int m, int n,
                                   const float (&acc)[kM / 2]) {
  const float scale = a.scale * a.routing.stack[tile.expert].scale;
  const GatedOutput gated{a.y, a.y_stride, a.n, a.gate, scale};
  const auto row_of_y = [&](int row) {
    return static_cast<T*>(a.y) + RowOfY(a.routing, row) * a.y_stride;
  };
  if (a.gate >= 0 && a.y_pairs && n / kTileN * kTileN + kTileN <= a.n) {
    const GateBias none(gated, n);
    const auto store_all = [&](auto sigmoid) {
      constexpr bool kSigmoid = decltype(sigmoid)::value;
#pragma unroll
      for (int j = 0; j < kM / 2; j += 4) {
        const uint32_t pair =
            GatedOutputsOfRow<T, kSigmoid>(gated, none, acc[j], acc[j + 1], acc[j + 2], acc[j + 3]);
        const int row = tile.begin + m + 2 * j + RowOfLane();
        if (row < tile.end) *reinterpret_cast<uint32_t*>(row_of_y(row) + n / 4 * 2) = pair;
      }
    };
    return HasSigmoid(gated) ? store_all(std::true_type()) : store_all(std::false_type());
  }
  if (n >= a.n) return;
#pragma unroll
  for (int i = 0; i < kM / 4; ++i) {
    const int row = tile.begin + m + i / 2 * 8 + i % 2;
    if (row >= tile.end) continue;
    const float y0 = acc[i / 2 * 4 + i % 2];
    const float y1 = acc[i / 2 * 4 + i % 2 + 2];
    if (a.gate >= 0) {
      StoreGated<T>(gated, RowOfY(a.routing, row), n, y0, y1);
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

}  // namespace awq::cuda
