// E4M3 pairs as f16, which holds all of their values.
#pragma once

#include <cuda_fp8.h>

#include <cstdint>

namespace awq::cuda {

// Values 0 and 1 of four (their bytes from the low one on), and 2 and 3.
struct F16Pairs {
  uint32_t low, high;
};
__device__ inline F16Pairs ExpandE4m3(uint32_t four) {
  F16Pairs out;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  asm("{\n"
      ".reg .b16 a, b;\n"
      "mov.b32 {a, b}, %2;\n"
      "cvt.rn.f16x2.e4m3x2 %0, a;\n"
      "cvt.rn.f16x2.e4m3x2 %1, b;\n"
      "}"
      : "=r"(out.low), "=r"(out.high)
      : "r"(four));
#else
  // The exponent and mantissa as they are make an f16 that is 2^8 too small; NaN becomes 480.
  const auto scaled = [](uint32_t bytes) {
    const uint32_t bits = (bytes & 0x80008000u) | ((bytes & 0x7f007f00u) >> 1);
    uint32_t y;
    asm("mul.f16x2 %0, %1, %2;" : "=r"(y) : "r"(bits), "r"(0x5c005c00u));
    return y;
  };
  out.low = scaled(__byte_perm(four, 0, 0x1404));
  out.high = scaled(__byte_perm(four, 0, 0x3424));
#endif
  return out;
}

// Of two neighbouring columns of two rows, (r0 c0) (r0 c1) (r1 c0) (r1 c1): column c0, column c1.
__device__ inline F16Pairs ExpandE4m3Columns(uint32_t four) {
  return ExpandE4m3(__byte_perm(four, 0, 0x3120));
}

}  // namespace awq::cuda
