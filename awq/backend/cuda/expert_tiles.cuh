// The planning of expert_tiles.h, for any kernel's thread block.
#pragma once

#include "awq/backend/cuda/expert_tiles.h"
#include "awq/backend/cuda/numeric.cuh"

namespace awq::cuda {

struct ExpertTilesPlan {
  const int* starts;  // Routing's
  int experts, rows;
  ExpertTiles out;

  // By all kThreads threads of a thread block.
  template <int kThreads>
  __device__ void Make() const {
    constexpr int kWarps = kThreads / 32;
    __shared__ int of_warps[kWarps];
    const int thread = static_cast<int>(threadIdx.x);
    int first = 0;  // tiles of the experts before
    for (int base = 0; base < experts; base += kThreads) {
      const int e = base + thread;
      const int begin = e < experts ? starts[e] : 0;
      const int end = e < experts ? starts[e + 1] : 0;
      const int mine = (end - begin + rows - 1) / rows;
      const int sum = WarpSumUpTo(mine);
      if (thread % 32 == 31) of_warps[thread / 32] = sum;
      __syncthreads();
      int at = first + sum - mine;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        at += w < thread / 32 ? of_warps[w] : 0;
        first += of_warps[w];
      }
      for (int i = 0; i < mine; ++i) {
        out.tiles[at + i] = {e, begin + i * rows, min(begin + (i + 1) * rows, end)};
      }
      __syncthreads();
    }
    if (thread == 0) *out.count = first;
  }
};

}  // namespace awq::cuda
