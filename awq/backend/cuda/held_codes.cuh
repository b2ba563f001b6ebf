// 4-bit codes as operands of the tensor cores in the fewest instructions: masked and shifted alone.
#pragma once

#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

// An operand is (code + kBias) / kUnit, of odd outputs times kHigh; kOnes: two times 1.
template <typename T>
struct RawCodes;

// Codes in the lowest bits of an f16 are denormals: code · 2^-24, code · 2^-20.
template <>
struct RawCodes<__half> {
  static constexpr uint32_t kBias = 0;
  static constexpr float kHigh = 16.0f;
  static constexpr float kUnit = 16777216.0f;
  static constexpr uint32_t kOnes = 0x3c003c00u;
  // The fragment of bytes 0 and 2 of two words, or, behind 8 bits, of bytes 1 and 3.
  __device__ static void Operand(uint32_t first, uint32_t last, int behind, uint32_t (&a)[4]) {
    first >>= behind;
    last >>= behind;
    a[0] = first & 0x000f000fu;
    a[1] = first & 0x00f000f0u;
    a[2] = last & 0x000f000fu;
    a[3] = last & 0x00f000f0u;
  }
};

// In the highest bits of the mantissa of 16: a smaller bias loses less than that of 128.
template <>
struct RawCodes<__nv_bfloat16> {
  static constexpr uint32_t kBias = 16;
  static constexpr float kHigh = 1.0f;
  static constexpr float kUnit = 1.0f;
  static constexpr uint32_t kOnes = 0x3f803f80u;
  __device__ static void Operand(uint32_t first, uint32_t last, int behind, uint32_t (&a)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t w = i < 2 ? first : last;
      const int from = behind + 4 * (i % 2);  // to bit 3
      a[i] = AndOr(from < 3 ? w << (3 - from) : w >> (from - 3), 0x00780078u, 0x41804180u);
    }
  }
};

}  // namespace awq::cuda
