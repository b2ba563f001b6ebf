// Routed experts inside fused_layers.cuh. A block has some rows of the router, whose products with
// x it makes beside the norm (fused_thread.cuh), and hands the logits to all. Each block awaits
// them and chooses the experts, after which their weights can be asked for. From there on the
// chosen experts are one gated linear, and one down whose inputs lie one expert after another: the
// weight of an expert counts in what its down projection reads.
#pragma once

#include "awq/backend/cuda/fused_args.h"
#include "awq/backend/cuda/fused_hop.cuh"
#include "awq/backend/cuda/fused_ring.cuh"
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

// The weights of the chosen experts, which a lane each has; one warp. As Backend::Route has them.
__device__ inline float ExpertWeight(const FusedArgs& a, const float* logits, int expert) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float logit = lane < a.active ? logits[expert] : -INFINITY;
  const float largest = WarpMax(logit);
  const float score = __expf(logit - largest);
  float sum = score;
  if (!a.normalize) {
    sum = 0.0f;
    for (int e = lane; e < a.experts; e += 32) sum += __expf(logits[e] - largest);
  }
  return __fdividef(score, WarpSum(sum)) * a.weight_scale;
}

// Awaits the logits and chooses; all threads that compute. An expert's place is how many keys lie
// above its own. As Backend::Route, but that logits within 2^-15 of each other (relatively) may
// count as equal.
template <int kKeys>
__device__ inline void AwaitExperts(const FusedArgs& a, uint32_t tag, uint8_t* shared) {
  constexpr int kLanes = kFusedThreads / kKeys;  // that share an expert
  const int thread = static_cast<int>(threadIdx.x);
  const auto* table = reinterpret_cast<const FusedExpert*>(shared + a.shared.experts);
  auto* logits = reinterpret_cast<float*>(shared + a.shared.logits);
  auto* keys = reinterpret_cast<uint32_t*>(shared + a.shared.keys);
  auto* picked = reinterpret_cast<int*>(shared + a.shared.picked);
  if (thread < kKeys) {
    uint32_t key = 0;  // below all
    if (thread < a.experts) {
      float logit;
      while (!Load(a.logits + thread, tag, logit)) __nanosleep(32);
      logits[thread] = logit;
      key = (RankingKey(logit) & ~0xffu) + 256 - thread;  // the lowest expert among equals
    }
    keys[thread] = key;
  }
  __syncwarp();
  FusedBarrier();
  const uint32_t key = keys[thread / kLanes];
  int place = 0;
#pragma unroll
  for (int i = 0; i < kKeys / 4 / kLanes; ++i) {
    const uint4 four = reinterpret_cast<const uint4*>(keys)[i * kLanes + thread % kLanes];
    place += (four.x > key ? 1 : 0) + (four.y > key ? 1 : 0);
    place += (four.z > key ? 1 : 0) + (four.w > key ? 1 : 0);
  }
#pragma unroll
  for (int lanes = kLanes / 2; lanes > 0; lanes /= 2) place += __shfl_xor_sync(~0u, place, lanes);
  if (thread % kLanes == 0 && place < a.active) picked[place] = thread / kLanes;
  FusedBarrier();
  if (thread >= 32) return;
  const bool has_one = thread < a.active;
  const int expert = picked[has_one ? thread : 0];
  FusedExpert* chosen = ChosenExperts(a, shared) + thread;
  if (has_one) *chosen = table[expert];
  __syncwarp();
  if (thread == 0) BarrierArrive(SharedAddress(shared) + a.shared.routed);
  const float weight = ExpertWeight(a, logits, expert);
  if (has_one) chosen->down_scale *= weight;
}

// Asks for what there is to know of a layer's experts; all threads that compute, which await their
// copies and each other.
__device__ inline void CopyExperts(const FusedArgs& a, const FusedRouter& router, uint8_t* shared) {
  constexpr int kWords = sizeof(FusedExpert) / 16;
  const auto* from = reinterpret_cast<const uint4*>(router.experts);
  const uint32_t to = SharedAddress(shared) + a.shared.experts;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < a.experts * kWords; i += kFusedThreads) {
    AsyncCopy16(to + 16 * i, from + i, 16);
  }
  AsyncCommit();
}

}  // namespace awq::cuda
