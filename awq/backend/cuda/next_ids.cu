// The ids that a step ends with: the most likely ones, and what the next step needs of them.
#include "awq/backend/cuda/rows.h"

#include <climits>

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/row_access.cuh"

namespace awq::cuda {
namespace {

// A row's largest logit: a cluster of blocks, or one (grid: blocks of a row, rows).
__global__ void __launch_bounds__(1024)
    ArgMaxKernel(Matrix<const float> logits, int columns, int* ids) {
  AllowNextKernel();
  __shared__ float values[33];  // of the warps, then of the block
  __shared__ int places[33];
  __shared__ int bad;
  const int thread = static_cast<int>(threadIdx.x);
  const int blocks = static_cast<int>(gridDim.x);
  if (thread == 0) bad = 0;
  __syncthreads();
  WaitForPreviousKernel();
  const float* row = logits.Row(blockIdx.y);
  float best = -INFINITY;
  int place = INT_MAX;
  const auto take = [&](float v, int p) {
    if (v > best || (v == best && p < place)) {
      best = v;
      place = p;
    }
  };
  constexpr int kAtOnce = 8;  // loads in flight
  const int step = static_cast<int>(blockDim.x) * blocks;
  for (int c = static_cast<int>(blockIdx.x * blockDim.x) + thread; c < columns;
       c += kAtOnce * step) {
    float v[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int at = c + i * step;
      v[i] = at < columns ? row[at] : -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (!(v[i] < INFINITY)) bad = 1;
      if (v[i] > best) {
        best = v[i];
        place = c + i * step;
      }
    }
  }
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    take(__shfl_xor_sync(~0u, best, lanes), __shfl_xor_sync(~0u, place, lanes));
  }
  if (thread % 32 == 0) {
    values[thread / 32] = best;
    places[thread / 32] = place;
  }
  __syncthreads();
  if (thread == 0) {
    for (int w = 1; w < static_cast<int>(blockDim.x) / 32; ++w) take(values[w], places[w]);
    values[32] = best;
    places[32] = place;
  }
  if (blocks > 1) {
    __syncwarp();
    ClusterSync();
    if (thread == 0 && blockIdx.x == 0) {
      for (int b = 1; b < blocks; ++b) {
        const auto rank = static_cast<uint32_t>(b);
        take(ClusterLoad(SharedAddress(&values[32]), rank),
             static_cast<int>(ClusterLoadWord(SharedAddress(&places[32]), rank)));
        bad |= static_cast<int>(ClusterLoadWord(SharedAddress(&bad), rank));
      }
    }
    __syncwarp();
    ClusterSync();  // nobody's shared memory goes before it has been read
  }
  if (thread == 0 && blockIdx.x == 0) {
    ids[blockIdx.y] = bad != 0 || place == INT_MAX ? -1 : place;
  }
}

// One block.
__global__ void AdvanceKernel(const int* ids, int rows, int* next, int* record, int slots,
                              int* tokens, int* positions, int* kv_len) {
  // None begins before this ends: some read positions and lengths before they wait.
  WaitForPreviousKernel();
  const int slot = *next;
  __syncthreads();
  if (threadIdx.x == 0) *next = (slot + 1) % slots;
  int* to = record + static_cast<int64_t>(slot) * rows;
  for (int r = static_cast<int>(threadIdx.x); r < rows; r += static_cast<int>(blockDim.x)) {
    tokens[r] = to[r] = ids[r];
    ++positions[r];
    ++kv_len[r];
  }
}

}  // namespace

void ArgMax(const Queue& queue, const TensorView& logits, const TensorView& ids) {
  if (logits.dim(0) == 0) return;
  // Enough blocks a row for the memory to be busy, where clusters are known.
  const unsigned blocks = queue.overlap && logits.dim(1) > 16384 ? 8 : 1;
  LaunchClusters(queue, ArgMaxKernel, dim3(blocks, static_cast<unsigned>(logits.dim(0))),
                 dim3(blocks), 1024, 0, AsMatrix<const float>(logits),
                 static_cast<int>(logits.dim(1)), ids.As<int>());
}

void Advance(const Queue& queue, const AdvanceArgs& args, const TensorView& ids) {
  const int rows = static_cast<int>(ids.NumElements());
  Launch(queue, AdvanceKernel, 1, kThreads, 0, ids.As<const int>(), rows, args.next.As<int>(),
         args.record.As<int>(), static_cast<int>(args.record.dim(0)), args.tokens.As<int>(),
         args.positions.As<int>(), args.kv_len.As<int>());
}

}  // namespace awq::cuda
