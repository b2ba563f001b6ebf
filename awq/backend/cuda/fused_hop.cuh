// How thread blocks of one running kernel hand vectors to each other: through words in global
// memory that say themselves whether they are of this layer, so that nobody needs a fence or a
// barrier of all blocks.
//
// A word is a float whose lowest bit is the tag, the lowest bit of the epoch (a layer of a step);
// that costs at most 2^-23 of the value, and makes infinities none-numbers. Every word is written
// once in each epoch, and not before all have read it in the one before: whoever reads a vector
// hands out something afterwards that its next writer waits for. So each block has a tile of every
// linear (fused_plan.h): with tiles of gate and up alone it would hand out nothing after the hidden
// vector, and could miss an epoch. Keys it may have or not.
#pragma once

#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

__device__ inline void Publish(float* to, float v, uint32_t tag) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(to),
               "r"((__float_as_uint(v) & ~1u) | tag)
               : "memory");
}
// Whether what was loaded is of this epoch.
__device__ inline bool Load(const float* from, uint32_t tag, float& v) {
  uint32_t word;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(word) : "l"(from) : "memory");
  v = __uint_as_float(word);
  return ((word ^ tag) & 1) == 0;
}
// Four neighbours, where they are wanted; without a branch, so that several loads are on their way.
__device__ inline bool Load(const float* from, uint32_t tag, bool wanted, float (&v)[4]) {
  uint32_t w[4] = {tag, tag, tag, tag};
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.u32 p, %5, 0;\n"
      "@p ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];\n}"
      : "+r"(w[0]), "+r"(w[1]), "+r"(w[2]), "+r"(w[3])
      : "l"(from), "r"(static_cast<uint32_t>(wanted))
      : "memory");
#pragma unroll
  for (int i = 0; i < 4; ++i) v[i] = __uint_as_float(w[i]);
  return (((w[0] ^ tag) | (w[1] ^ tag) | (w[2] ^ tag) | (w[3] ^ tag)) & 1) == 0;
}

}  // namespace awq::cuda
