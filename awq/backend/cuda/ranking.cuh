// The order in which values are chosen.
#pragma once

#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

// In the order of values, NaN behind all numbers; above 0.
__device__ inline unsigned RankingKey(float v) {
  if (v != v) return 1;
  const unsigned bits = __float_as_uint(v + 0.0f);  // -0 is 0
  return bits ^ ((bits >> 31) != 0 ? ~0u : 0x80000000u);
}

}  // namespace awq::cuda
