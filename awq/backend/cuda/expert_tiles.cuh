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
    __shared__ int sums[kThreads];
    const int thread = static_cast<int>(threadIdx.x);
    int first = 0;  // tiles of the experts before
    for (int base = 0; base < experts; base += kThreads) {
      const int e = base + thread;
      const int begin = e < experts ? starts[e] : 0;
      const int end = e < experts ? starts[e + 1] : 0;
      const int mine = (end - begin + rows - 1) / rows;
      sums[thread] = mine;
      __syncthreads();
      for (int step = 1; step < kThreads; step *= 2) {
        const int add = thread >= step ? sums[thread - step] : 0;
        __syncthreads();
        sums[thread] += add;
        __syncthreads();
      }
      const int at = first + sums[thread] - mine;
      for (int i = 0; i < mine; ++i) {
        out.tiles[at + i] = {e, begin + i * rows, min(begin + (i + 1) * rows, end)};
      }
      first += sums[kThreads - 1];
      __syncthreads();
    }
    if (thread == 0) *out.count = first;
  }
};

}  // namespace awq::cuda
