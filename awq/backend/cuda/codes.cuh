// 4-bit codes on their way from memory to the A operand of the tensor cores.
#pragma once

#include "awq/backend/cuda/layout.h"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

template <typename T>
struct CodePairs;

// Codes less zeros as exact 16-bit floats: a code put into the mantissa of 1024 (f16) or 128
// (bf16).
template <>
struct CodePairs<__half> {
  uint32_t low, high;  // zeros of the even and the odd output, biased as the codes are

  __device__ void SetZeros(uint32_t even, uint32_t odd) {
    low = (0x6400u | even) * 0x10001u;
    high = (0xd400u + 16 * odd) * 0x10001u;  // -(64 + zero)
  }
  // Of the bytes 0 and 2 of two words: the fragment's first and last 8 inputs.
  __device__ void Expand(uint32_t first, uint32_t last, uint32_t (&a)[4]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint32_t w = i == 0 ? first : last;
      const uint32_t even = AndOr(w, 0x000f000fu, 0x64006400u);  // 1024 + code
      const uint32_t odd = AndOr(w, 0x00f000f0u, 0x64006400u);   // 1024 + 16 · code
      asm("sub.f16x2 %0, %1, %2;" : "=r"(a[2 * i]) : "r"(even), "r"(low));
      asm("fma.rn.f16x2 %0, %1, %2, %3;"
          : "=r"(a[2 * i + 1])
          : "r"(odd), "r"(0x2c002c00u), "r"(high));
    }
  }
  // Times the scales of the even and of the odd output (f16 pair).
  __device__ static void Scale(uint32_t scales, uint32_t (&a)[4]) {
    const uint32_t even = __byte_perm(scales, 0, 0x1010);
    const uint32_t odd = __byte_perm(scales, 0, 0x3232);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(a[i]) : "r"(i % 2 == 0 ? even : odd));
    }
  }
};

template <>
struct CodePairs<__nv_bfloat16> {
  uint32_t low, high;

  __device__ void SetZeros(uint32_t even, uint32_t odd) {
    low = (0xc300u | even) * 0x10001u;  // -(128 + zero)
    high = (0xc300u | odd) * 0x10001u;
  }
  __device__ void Expand(uint32_t first, uint32_t last, uint32_t (&a)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t w = (i < 2 ? first : last) >> 4 * (i % 2);
      const uint32_t code = AndOr(w, 0x000f000fu, 0x43004300u);  // 128 + code
#if AWQ_SM80
      asm("fma.rn.bf16x2 %0, %1, %2, %3;"
          : "=r"(a[i])
          : "r"(code), "r"(0x3f803f80u), "r"(i % 2 == 0 ? low : high));
#else
      a[i] = code;  // Mma traps
#endif
    }
  }
  // The scale has more bits than bf16: in two parts, so that only the product is rounded.
  __device__ static void Scale(uint32_t scales, uint32_t (&a)[4]) {
    const float2 s = __half22float2(reinterpret_cast<const __half2&>(scales));
#pragma unroll
    for (int odd = 0; odd < 2; ++odd) {
      const float value = odd ? s.y : s.x;
      const __nv_bfloat162 high = __float2bfloat162_rn(value);
      const __nv_bfloat162 low = __float2bfloat162_rn(value - __low2float(high));
      [[maybe_unused]] const auto h = reinterpret_cast<const uint32_t&>(high);
      [[maybe_unused]] const auto l = reinterpret_cast<const uint32_t&>(low);
#pragma unroll
      for (int i = odd; i < 4; i += 2) {
#if AWQ_SM80
        uint32_t rest;
        asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(rest) : "r"(a[i]), "r"(l), "r"(0x80008000u));
        asm("fma.rn.bf16x2 %0, %0, %1, %2;" : "+r"(a[i]) : "r"(h), "r"(rest));
#endif
      }
    }
  }
};

__device__ inline uint4 LoadStream(const uint8_t* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

template <typename U>
__device__ inline uint32_t LoadOnce(const uint8_t* p) {
  return __ldg(reinterpret_cast<const U*>(p));
}

}  // namespace awq::cuda
