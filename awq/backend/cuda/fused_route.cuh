// Routed experts inside fused_layers.cuh. A block has some rows of the router, whose products with
// x it makes beside the norm (fused_thread.cuh), and hands the logits to all. In each block the
// first warp awaits them and chooses the experts, after which their weights can be asked for. From
// there on the chosen experts are one gated linear, and one down whose inputs lie one expert after
// another: the weight of an expert counts in what its down projection reads.
#pragma once

#include "awq/backend/cuda/fused_args.h"
#include "awq/backend/cuda/fused_hop.cuh"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ranking.cuh"

namespace awq::cuda {

// A thread's part of a row of the router, inputs as EightInputs has them.
struct RouterInputs {
  uint4 raw[2];
  __device__ void Load(const FusedArgs& a, const void* router, int row, int at) {
    const int64_t place = int64_t{row} * a.hidden + at;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (a.router == FusedRouterType::kF32) {
        raw[i] = __ldg(reinterpret_cast<const uint4*>(static_cast<const float*>(router) + place) +
                       8 * i);
      } else {
        const uint2 v = __ldg(
            reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(router) + place) + 8 * i);
        raw[i] = make_uint4(v.x, v.y, 0, 0);
      }
    }
  }
  __device__ float Dot(const FusedArgs& a, const float (&x)[2][4]) const {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float w[4] = {__uint_as_float(raw[i].x), __uint_as_float(raw[i].y), __uint_as_float(raw[i].z),
                    __uint_as_float(raw[i].w)};
      if (a.router == FusedRouterType::kF16) Unpack<__half2>(raw[i], w);
      if (a.router == FusedRouterType::kBF16) Unpack<__nv_bfloat162>(raw[i], w);
#pragma unroll
      for (int j = 0; j < 4; ++j) sum += w[j] * x[i][j];
    }
    return sum;
  }

 private:
  __device__ static float2 ToFloats(__half2 v) { return __half22float2(v); }
  __device__ static float2 ToFloats(__nv_bfloat162 v) { return __bfloat1622float2(v); }
  template <typename Pair>
  __device__ static void Unpack(const uint4& raw, float (&w)[4]) {
    const float2 low = ToFloats(reinterpret_cast<const Pair&>(raw.x));
    const float2 high = ToFloats(reinterpret_cast<const Pair&>(raw.y));
    w[0] = low.x, w[1] = low.y, w[2] = high.x, w[3] = high.y;
  }
};

// Of the chosen experts, in shared memory; down_scale counts the expert's weight.
__device__ inline FusedExpert* ChosenExperts(const FusedArgs& a, uint8_t* shared) {
  return reinterpret_cast<FusedExpert*>(shared + a.shared.chosen);
}

// One warp; logits of experts lane, lane + 32, …. As Backend::Route, but that there are no groups.
template <int kEach>
__device__ inline void ChooseExperts(const FusedArgs& a, float (&logits)[kEach], uint8_t* shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto* table = reinterpret_cast<const FusedExpert*>(shared + a.shared.experts);
  auto* scores = reinterpret_cast<float*>(shared + a.shared.scores);
  float largest = -INFINITY;
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    if (lane + 32 * j < a.experts) largest = fmaxf(largest, logits[j]);
  }
  largest = WarpMax(largest);
  float total = 0.0f;
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    float& score = logits[j];
    score = a.sigmoid ? __fdividef(1.0f, 1.0f + __expf(-score)) : __expf(score - largest);
    if (lane + 32 * j < a.experts) total += score;
  }
  const float factor = a.sigmoid ? 1.0f : __fdividef(1.0f, WarpSum(total));
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    const int e = lane + 32 * j;
    if (e >= a.experts) break;
    scores[e] = logits[j] *= factor;
    logits[j] += table[e].bias;
  }
  __syncwarp();
  Ranking<kEach> ranking(logits, a.experts);
  int mine = 0;
#pragma unroll 1
  for (int i = 0; i < a.active; ++i) {
    const int e = ranking.Next();
    if (i == lane) mine = e;
  }
  const bool has_one = lane < a.active;
  const float score = has_one ? scores[mine] : 0.0f;
  const float divisor = a.normalize ? WarpSum(score) + 1e-20f : 1.0f;
  if (has_one) {
    FusedExpert chosen = table[mine];
    chosen.down_scale *= __fdividef(score, divisor) * a.weight_scale;
    ChosenExperts(a, shared)[lane] = chosen;
  }
}

// Awaits the logits and chooses; one warp.
template <int kEach>
__device__ inline void AwaitExperts(const FusedArgs& a, uint32_t tag, uint8_t* shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float logits[kEach];
  for (;;) {
    bool there = true;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const int e = lane + 32 * j;
      if (e < a.experts) there &= Load(a.logits + e, tag, logits[j]);
    }
    if (there) break;
    __nanosleep(32);
  }
  __syncwarp();
  ChooseExperts(a, logits, shared);
  __syncwarp();
  if (lane == 0) BarrierArrive(SharedAddress(shared) + a.shared.routed);
}

// Asks for what there is to know of a layer's experts; all threads that compute, which await it
// with AwaitCopies and a barrier.
__device__ inline void CopyExperts(const FusedArgs& a, const FusedRouter& router, uint8_t* shared) {
  constexpr int kWords = sizeof(FusedExpert) / 16;
  const auto* from = reinterpret_cast<const uint4*>(router.experts);
  const uint32_t to = SharedAddress(shared) + a.shared.experts;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < a.experts * kWords; i += kFusedThreads) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + 16 * i), "l"(from + i)
                 : "memory");
  }
}
__device__ inline void AwaitCopies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

}  // namespace awq::cuda
