// Sampling without a sort: a cluster of blocks a row, or one (grid: blocks of a row, rows). Each
// block keeps its slice in shared memory, where that can hold it.
//
// bound   reading the logits once; then the instructions of weights, some 50 a token with top-p
#include <climits>

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/row_access.cuh"
#include "awq/backend/cuda/sample.h"
#include "awq/backend/cuda/sample_draw.cuh"

namespace awq::cuda {
namespace {

// Bytes of a slice beside what a kernel has in shared memory anyway.
constexpr int kMostHeld = 200 << 10;
// Rows up to this are one block's: clusters have more to wait for than they save.
constexpr int64_t kSmallRow = 4096;

struct RowArgs {
  Matrix<float> logits;
  int columns;
  int slice, stretch;
  const float* temperature;
  const int* top_k;
  const float* top_p;
  const float* most_distance;
  const float* repetition;
  const uint2* random;
  const int* seen;
  const float* subtract;
  int seen_size;
  int* ids;
};

struct Largest {
  float value;
  int place;  // INT_MAX: none

  __device__ void Take(float v, int p) {
    if (v > value || (v == value && p < place)) {
      value = v;
      place = p;
    }
  }
  __device__ void TakeLanes(int lanes) {
    Take(__shfl_xor_sync(kAll, value, lanes), __shfl_xor_sync(kAll, place, lanes));
  }
};

// Penalizes tokens that have been seen, in memory and where the slice is held.
__device__ void Penalize(const RowArgs& a, int64_t r, int begin, int count, float* held,
                         float* memory) {
  const float repetition = a.repetition[r];
  for (int i = static_cast<int>(threadIdx.x); i < a.seen_size; i += kBlock) {
    const int at = a.seen[r * a.seen_size + i] - begin;
    if (at < 0 || at >= count) continue;
    held[at] = PenalizedLogit(held[at], repetition, a.subtract[r * a.seen_size + i]);
    memory[at] = held[at];
  }
  __syncthreads();
}

__device__ void Hold(const float* from, int count, float* to) {
  const int thread = static_cast<int>(threadIdx.x);
  const int fours = reinterpret_cast<uintptr_t>(from) % 16 == 0 ? count / 4 : 0;
  for (int i = thread; i < fours; i += kBlock) {
    AsyncCopy16(SharedAddress(to + 4 * i), from + 4 * i, 16);
  }
  for (int i = 4 * fours + thread; i < count; i += kBlock) {
    AsyncCopy4(SharedAddress(to + i), from + i);
  }
  if (thread < (count + kBatch - 1) / kBatch * kBatch - count) to[count + thread] = -INFINITY;
  AsyncCommit();
  AsyncWait<0>();
  __syncthreads();
}

// A row's largest logit, the lowest place among equals; an infinite one where ArgMax answers -1.
// Leaves the largest of each half warp in `groups`.
template <typename Row>
__device__ Largest FindLargest(const Row& row, int blocks, float* groups) {
  __shared__ Largest parts[kWarps];
  __shared__ Largest of_block;  // read by other blocks
  Largest best = {-INFINITY, INT_MAX};
  row.ForBatches(-INFINITY, [&](int i, const float(&x)[Row::kAtOnce]) {
#pragma unroll
    for (int j = 0; j < Row::kAtOnce; ++j) {
      const float v = x[j] < INFINITY ? x[j] : INFINITY;  // NaN, too
      if (v > best.value) best = {v, row.begin + i + j * Row::kStep};
    }
  });
#pragma unroll
  for (int lanes = 8; lanes > 0; lanes /= 2) best.TakeLanes(lanes);
  if (Lane() % 16 == 0) groups[2 * Warp() + Lane() / 16] = best.value;
  best.TakeLanes(16);
  if (Lane() == 0) parts[Warp()] = best;
  __syncthreads();
  if (Warp() == 0) {
    best = parts[Lane() % kWarps];
#pragma unroll
    for (int lanes = kWarps / 2; lanes > 0; lanes /= 2) best.TakeLanes(lanes);
    if (Lane() == 0) of_block = best;
  }
  RowSync();
  best = *OfBlock(&of_block, Lane() % blocks);
#pragma unroll
  for (int lanes = kMostBlocks / 2; lanes > 0; lanes /= 2) best.TakeLanes(lanes);
  return best;
}

// Two blocks a multiprocessor. A block ends after the last RowSync only: until then others read its
// shared memory; what they decide to do together depends on the row alone.
template <bool kHeld>
__global__ void __launch_bounds__(kBlock, 2) SampleKernel(const RowArgs a) {
  extern __shared__ float4 held[];
  __shared__ SearchSpace search;
  __shared__ DrawSpace draw;
  BeginKernel();
  const int64_t r = blockIdx.y;
  const int blocks = static_cast<int>(gridDim.x);
  const int begin = static_cast<int>(blockIdx.x) * a.slice;
  const int count = max(0, min(a.slice, a.columns - begin));
  float* memory = a.logits.Row(r) + begin;
  float* logits = kHeld ? reinterpret_cast<float*>(held) : memory;
  const float temperature = a.temperature[r];
  const int top_k = a.top_k[r];
  const float top_p = a.top_p[r];
  const unsigned farthest = __float_as_uint(a.most_distance[r]);
  const uint2 random = a.random[r];
  if (kHeld) Hold(memory, count, logits);
  if (a.seen_size > 0) Penalize(a, r, begin, count, logits, memory);

  Slice<kHeld> row = {logits, begin, count, a.stretch};
  const Largest best = FindLargest(row, blocks, search.groups);
  if (isinf(best.value) || temperature == 0.0f) {
    if (blockIdx.x == 0 && threadIdx.x == 0) a.ids[r] = isinf(best.value) ? -1 : best.place;
    RowSync();
    return;
  }
  row.MeasureFrom(best.value, temperature);
  Limit limit = LimitByTops(row, blocks, a.columns, top_k, top_p, search);
  const bool few = limit.key <= kInfiniteKey;
  if (farthest < limit.key) limit = {farthest + 1, 0};
  Draw(row, blocks, limit, few, Sum{random.x} | Sum{random.y} << 32, draw, a.ids + r);
}

}  // namespace

void Sample(const Queue& queue, const SampleArgs& args, const TensorView& logits,
            const TensorView& ids) {
  if (logits.dim(0) == 0) return;
  const int64_t columns = logits.dim(1);
  const int64_t blocks = queue.overlap && columns > kSmallRow ? kMostBlocks : 1;
  const auto slice = static_cast<int>((columns + 4 * blocks - 1) / (4 * blocks) * 4);
  const RowArgs rows = {.logits = AsMatrix<float>(logits),
                        .columns = static_cast<int>(columns),
                        .slice = slice,
                        .stretch = (slice + kWarps * kBatch - 1) / (kWarps * kBatch) * kBatch,
                        .temperature = args.temperature.As<const float>(),
                        .top_k = args.top_k.As<const int>(),
                        .top_p = args.top_p.As<const float>(),
                        .most_distance = args.most_distance.As<const float>(),
                        .repetition = args.repetition.As<const float>(),
                        .random = args.random.As<const uint2>(),
                        .seen = args.seen.As<const int>(),
                        .subtract = args.subtract.As<const float>(),
                        .seen_size = args.seen.empty() ? 0 : static_cast<int>(args.seen.dim(1)),
                        .ids = ids.As<int>()};
  const int bytes = (slice + kBatch) * static_cast<int>(sizeof(float));
  const bool held = queue.overlap && bytes <= kMostHeld;
  const auto kernel = held ? SampleKernel<true> : SampleKernel<false>;
  if (held) {
    AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  }
  LaunchClusters(queue, kernel,
                 dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(logits.dim(0))),
                 dim3(static_cast<unsigned>(blocks)), kBlock, held ? bytes : 0, rows);
}

}  // namespace awq::cuda
