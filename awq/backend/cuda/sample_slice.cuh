// A row of logits as the blocks of a cluster share it: each block has a slice of it, each warp of a
// block a stretch of the slice. All go over their logits in the same order whenever they do.
#pragma once

#include <cmath>
#include <cstdint>

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/ops/sample_weight.h"

namespace awq::cuda {

inline constexpr int kBlock = 512;
inline constexpr int kWarps = kBlock / 32;
inline constexpr int kMostBlocks = 8;  // of a row
inline constexpr int kBatch = 128;     // tokens of a warp at once
inline constexpr unsigned kAll = ~0u;
inline constexpr unsigned kInfiniteKey = 0x7f800000u;
inline constexpr float kWeightless = 30.0f;  // tokens from this distance on weigh nothing

using Sum = unsigned long long;

__device__ inline int Lane() { return static_cast<int>(threadIdx.x) % 32; }
__device__ inline int Warp() { return static_cast<int>(threadIdx.x) / 32; }

// Of all threads of a row's blocks. What they have written to shared memory can then be read, and
// what they have read can be written.
__device__ inline void RowSync() {
  __syncwarp();
#if AWQ_SM90
  ClusterSync();
#else
  __syncthreads();
#endif
}

// Of the threads of the block before this one.
__device__ inline Sum SumBefore(Sum v) {
  __shared__ Sum parts[kWarps];
  const Sum upto = WarpSumUpTo(v);
  __syncthreads();  // nobody reads the parts of the sum before
  if (Lane() == 31) parts[Warp()] = upto;
  __syncthreads();
  return upto - v + WarpSum(Lane() < Warp() ? parts[Lane()] : 0);
}

__device__ inline Sum WeightOfKey(unsigned key) { return SampleWeight(__uint_as_float(key)); }

// A token's distance is that of its logit from the largest one over the temperature, as ref
// computes it: rounded twice. The bits of this float ≥ 0 are its key: keys rise as probabilities
// fall.
template <bool kHeld>
struct Slice {
  static constexpr int kAtOnce = kHeld ? 4 : 8;  // logits of a lane; more where memory is far
  static constexpr int kStep = kHeld ? 1 : 32;   // from one to the next

  const float* logits;  // held: in shared memory, -inf up to a multiple of kBatch
  int begin, count;     // tokens
  int stretch;          // tokens of a warp, a multiple of kBatch
  float top = 0, temperature = 1;
  float inverse = 1;  // of the temperature, rounded to nearest
  float nearest = 0;  // the smallest difference of logits that is divided by multiplications

  __device__ int First(int warp) const { return min(count, warp * stretch); }

  __device__ void MeasureFrom(float largest, float by) {
    top = largest;
    temperature = by;
    inverse = __frcp_rn(by);
    nearest = by > 0x1p-40f && by < 0x1p40f ? 0x1p-40f : INFINITY;
  }
  __device__ float Distance(float x) const {
    const float apart = __fsub_rn(top, x);
    return apart > 0 && apart < INFINITY ? __fdiv_rn(apart, temperature) : fabsf(apart);  // -0
  }
  __device__ unsigned Key(float x) const { return __float_as_uint(Distance(x)); }

  // Distances without a branch each: a quotient of numbers that are neither small nor large is
  // right to the last bit after two corrections with the rounded inverse.
  __device__ void Distances(const float (&x)[kAtOnce], float (&out)[kAtOnce]) const {
    bool all = true;
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const float apart = __fsub_rn(top, x[j]);
      float q = __fmul_rn(apart, inverse);
      q = __fmaf_rn(__fmaf_rn(-q, temperature, apart), inverse, q);
      q = __fmaf_rn(__fmaf_rn(-q, temperature, apart), inverse, q);
      out[j] = q;
      all = all && apart >= nearest && apart <= 0x1p40f;
    }
    if (all) return;
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) out[j] = Distance(x[j]);
  }

  // At most the smallest logit that has a key up to this one.
  __device__ float Least(unsigned key) const {
    const double distance = __uint_as_float(min(key, kInfiniteKey));
    return __double2float_rd(top - (distance + 0x1p-149) * temperature * (1 + 0x1p-20));
  }

  // Calls f(i, x) with all lanes of a warp, x[j] the logit of token i + j · kStep. Tokens past the
  // end have -inf. Leaves out what has no logit ≥ least, and no NaN, in the warp.
  template <typename F>
  __device__ void ForBatches(float least, const F& f) const {
    const int end = First(Warp() + 1);
    for (int from = First(Warp()); from < end; from += 32 * kAtOnce) {
      const int i = from + Lane() * (kHeld ? kAtOnce : 1);
      float x[kAtOnce];
      if constexpr (kHeld) {
        *reinterpret_cast<float4*>(x) = *reinterpret_cast<const float4*>(logits + i);
      } else {
#pragma unroll
        for (int j = 0; j < kAtOnce; ++j) {
          x[j] = i + j * kStep < end ? logits[i + j * kStep] : -INFINITY;
        }
      }
      bool some = false;
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) some = some || !(x[j] < least);
      if (__any_sync(kAll, some)) f(i, x);
    }
  }
};

}  // namespace awq::cuda
