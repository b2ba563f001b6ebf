// The largest of some values one after another, as a router wants its experts.
#pragma once

#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

__device__ inline unsigned LargestOf(unsigned v) {
#if AWQ_SM80
  return __reduce_max_sync(~0u, v);
#else
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v = max(v, __shfl_xor_sync(~0u, v, step));
  return v;
#endif
}

// In the order of values, NaN behind all numbers; above 0.
__device__ inline unsigned RankingKey(float v) {
  if (v != v) return 1;
  const unsigned bits = __float_as_uint(v + 0.0f);  // -0 is 0
  return bits ^ ((bits >> 31) != 0 ? ~0u : 0x80000000u);
}

// The places of the largest values, the lowest among equals. One warp, whose lane l has the values
// l, l + 32, …, kEach of them, and those from `count` on are none.
template <int kEach>
class Ranking {
 public:
  __device__ Ranking(const float (&values)[kEach], int count) {
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      keys_[j] = PlaceOf(j) < count ? RankingKey(values[j]) : 0;
    }
    Look();
  }
  // Takes it; there must be one.
  __device__ int Next() {
    const unsigned largest = LargestOf(best_);
    const auto place =
        static_cast<int>(~0u - LargestOf(best_ == largest ? ~0u - static_cast<unsigned>(at_) : 0));
    if (place == at_) {
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        if (place == PlaceOf(j)) keys_[j] = 0;
      }
      Look();
    }
    return place;
  }

 private:
  __device__ static int PlaceOf(int j) { return static_cast<int>(threadIdx.x) % 32 + 32 * j; }
  __device__ void Look() {
    best_ = 0;
    at_ = 32 * kEach;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      if (keys_[j] > best_) best_ = keys_[j], at_ = PlaceOf(j);
    }
  }

  unsigned keys_[kEach];  // 0: taken, or none
  unsigned best_;         // of the lane
  int at_;
};

}  // namespace awq::cuda
