// Latent attention: all heads of a token share keys and values, so a block reads each key once for
// kWarps · kHeads of them.
#include "awq/backend/cuda/latent.h"

#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kHeads = 2;  // a warp
constexpr int kKeys = 16;  // in shared memory at a time

struct LatentArgs {
  float scale;
  const int* seq_start;
  const int* kv_len;
  const int* table;
  int64_t table_stride;
  int most_tokens;                              // sequences with more are left out
  int sequences, page_size, heads, rank, size;  // size: rank + rope
  int64_t q_stride, rope_stride, y_stride;
};

// grid (T, H / (kWarps · kHeads)), one warp kHeads heads; lane l holds elements l, l + 32, … of the
// query and of what has been gathered, kPerLane of them. Softmax runs along with the keys.
template <typename T, typename C, int kPerLane>
__global__ void __launch_bounds__(32 * kWarps)
    LatentKernel(const LatentArgs a, const T* q_latent, const T* q_rope, const C* keys, T* y) {
  extern __shared__ float shared[];  // [kKeys][size]
  BeginKernel();
  const int t = static_cast<int>(blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first_head =
      (static_cast<int>(blockIdx.y) * kWarps + static_cast<int>(threadIdx.x) / 32) * kHeads;
  int b = 0;
  while (b + 1 < a.sequences && a.seq_start[b + 1] <= t) ++b;
  if (a.seq_start[b + 1] - a.seq_start[b] > a.most_tokens) return;
  const int last = a.kv_len[b] - (a.seq_start[b + 1] - t);  // the token's own position

  float query[kHeads][kPerLane];
  float sum[kHeads][kPerLane] = {};
  float max[kHeads];
  float total[kHeads] = {};
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    max[h] = -INFINITY;
    const int head = min(first_head + h, a.heads - 1);
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int d = 32 * i + lane;
      float v = 0;
      if (d < a.rank) {
        v = ToFloat(q_latent[t * a.q_stride + int64_t{head} * a.rank + d]);
      } else if (d < a.size) {
        v = ToFloat(q_rope[t * a.rope_stride + int64_t{head} * (a.size - a.rank) + d - a.rank]);
      }
      query[h][i] = v * a.scale;
    }
  }
  for (int s = 0; s <= last; s += kKeys) {
    const int count = min(kKeys, last + 1 - s);
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < count * a.size; i += 32 * kWarps) {
      const int p = s + i / a.size;
      const int64_t page = a.table[b * a.table_stride + p / a.page_size];
      shared[i] = ToFloat(keys[(page * a.page_size + p % a.page_size) * a.size + i % a.size]);
    }
    __syncthreads();
    for (int j = 0; j < count; ++j) {
      float key[kPerLane];
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) {
        const int d = 32 * i + lane;
        key[i] = d < a.size ? shared[j * a.size + d] : 0.0f;
      }
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        float score = 0;
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) score += query[h][i] * key[i];
#pragma unroll
        for (int step = 16; step > 0; step /= 2) score += __shfl_xor_sync(~0u, score, step);
        const float new_max = fmaxf(max[h], score);
        const float correction = __expf(max[h] - new_max);
        const float weight = __expf(score - new_max);
        max[h] = new_max;
        total[h] = total[h] * correction + weight;
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) sum[h][i] = sum[h][i] * correction + weight * key[i];
      }
    }
  }
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (first_head + h >= a.heads) break;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int d = 32 * i + lane;
      if (d >= a.rank) break;
      y[t * a.y_stride + int64_t{first_head + h} * a.rank + d] = FromFloat<T>(sum[h][i] / total[h]);
    }
  }
}

}  // namespace

void MlaAttention(const Queue& queue, const AttentionArgs& args, const Batch& batch,
                  const TensorView& q_latent, const TensorView& q_rope, const PagedKv& cache,
                  const TensorView& y, int most_tokens) {
  if (y.NumElements() == 0) return;
  const LatentArgs a{.scale = args.scale,
                     .seq_start = batch.seq_start.As<const int>(),
                     .kv_len = batch.kv_len.As<const int>(),
                     .table = batch.block_table.As<const int>(),
                     .table_stride = batch.block_table.strides[0],
                     .most_tokens = most_tokens,
                     .sequences = static_cast<int>(batch.num_seqs()),
                     .page_size = static_cast<int>(cache.page_size()),
                     .heads = static_cast<int>(y.dim(1)),
                     .rank = static_cast<int>(y.dim(2)),
                     .size = static_cast<int>(cache.keys.dim(3)),
                     .q_stride = q_latent.strides[0],
                     .rope_stride = q_rope.strides[0],
                     .y_stride = y.strides[0]};
  constexpr int kMostPerLane = 20;
  AWQ_CHECK(a.size <= 32 * kMostPerLane, kUnsupported, "backend cuda: latent vectors of ", a.size,
            " elements; supported: up to ", 32 * kMostPerLane);
  const dim3 grid(static_cast<unsigned>(y.dim(0)),
                  static_cast<unsigned>((a.heads + kWarps * kHeads - 1) / (kWarps * kHeads)));
  const int shared = kKeys * a.size * static_cast<int>(sizeof(float));
  WithType(y.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithCacheType(cache.keys.dtype, [&](auto cached) {
      using C = typename decltype(cached)::type;
      const auto launch = [&](auto* kernel) {
        Launch(queue, kernel, grid, 32 * kWarps, shared, a, q_latent.As<const T>(),
               q_rope.As<const T>(), cache.keys.As<const C>(), y.As<T>());
      };
      if (a.size <= 32 * 4) return launch(&LatentKernel<T, C, 4>);
      launch(&LatentKernel<T, C, kMostPerLane>);
    });
  });
}

}  // namespace awq::cuda
