// The planning of expert_tiles.h, for any kernel's thread block.
#pragma once

#include "awq/backend/cuda/expert_tiles.h"

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
    const int lane = thread % 32;
    int first = 0;  // tiles of the experts before
    for (int base = 0; base < experts; base += kThreads) {
      const int e = base + thread;
      const int begin = e < experts ? starts[e] : 0;
      const int end = e < experts ? starts[e + 1] : 0;
      const int mine = (end - begin + rows - 1) / rows;
      int sum = mine;  // with those of the lanes before
#pragma unroll
      for (int step = 1; step < 32; step *= 2) {
        const int before = __shfl_up_sync(~0u, sum, step);
        if (lane >= step) sum += before;
      }
      if (lane == 31) of_warps[thread / 32] = sum;
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
