// 8-bit codes on their way from memory to the A operand of the tensor cores.
#pragma once

#include "awq/backend/cuda/codes.cuh"
#include "awq/backend/cuda/layout_q8.h"

namespace awq::cuda {

// Two codes less their zero, exact: bytes `first` and `first` + 1 of w.
template <typename T>
__device__ uint32_t CodePairQ8(uint32_t w, int first, uint32_t zero);
template <>
__device__ inline uint32_t CodePairQ8<__half>(uint32_t w, int first, uint32_t zero) {
  const uint32_t codes = __byte_perm(w, 0x64646464u, first == 0 ? 0x4140 : 0x4342);  // 1024 + code
  const uint32_t zeros = (0x6400u | zero) * 0x10001u;
  uint32_t out;
  asm("sub.f16x2 %0, %1, %2;" : "=r"(out) : "r"(codes), "r"(zeros));
  return out;
}
template <>
__device__ inline uint32_t CodePairQ8<__nv_bfloat16>(uint32_t w, int first, uint32_t zero) {
  const float offset = __uint_as_float(0x4b000000u | zero);  // 2^23 + zero
  const float low = __uint_as_float(__byte_perm(w, 0x4b000000u, first == 0 ? 0x7650 : 0x7652));
  const float high = __uint_as_float(__byte_perm(w, 0x4b000000u, first == 0 ? 0x7651 : 0x7653));
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low - offset, high - offset);
  return reinterpret_cast<const uint32_t&>(pair);
}

// The fragment of a word of each of a lane's two outputs (layout_q8.h); zeros: of both, a byte
// each.
template <typename T>
__device__ inline void ExpandQ8(uint32_t even, uint32_t odd, uint32_t zeros, uint32_t (&a)[4]) {
  a[0] = CodePairQ8<T>(even, 0, zeros & 0xff);
  a[1] = CodePairQ8<T>(odd, 0, zeros >> 8);
  a[2] = CodePairQ8<T>(even, 2, zeros & 0xff);
  a[3] = CodePairQ8<T>(odd, 2, zeros >> 8);
}

}  // namespace awq::cuda
