// Codes to A fragments of mma.m16n8k16, without conversions.
#pragma once

#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

// Two ways for each activation type; c[j] are per lane for outputs 2r (even) and 2r + 1 (odd).
//
// Raw: the fragment is an affine function of the code with offset kOffset; what the offset and the
// zero point add is taken off per group as factor · Σx, and Σx comes from an mma with a fragment of
// kUnit.
//   f16:  a code in the low bits of a half is the subnormal code·2^-24, exact in the tensor core;
//   the odd
//         output's code stands one nibble higher: 16·code·2^-24. kUnit = 2^-24, results times 2^24
//         or 2^20.
//   bf16: 0x4300 | code = 128 + code; kUnit = 1.
// Exact: code - zero as an exact float, one more instruction a register.
template <typename T>
struct Codes;

template <>
struct Codes<__half> {
  static constexpr uint32_t kUnit = 0x00010001u;
  static constexpr float kEven = 0x1p24f;  // undoes the units of raw sums
  static constexpr float kOdd = 0x1p20f;
  __device__ static void ExpandRaw(uint32_t q, uint32_t (&a)[4]) {
    const uint32_t high = q >> 8;
    a[0] = q & 0x000f000fu;
    a[1] = q & 0x00f000f0u;
    a[2] = high & 0x000f000fu;
    a[3] = high & 0x00f000f0u;
  }
  // What Σx is to be multiplied by, for zero points z0 and z1.
  __device__ static float EvenFactor(uint32_t z) { return static_cast<float>(z); }
  __device__ static float OddFactor(uint32_t z) { return static_cast<float>(z << 4); }

  __device__ static void Zeros(uint32_t z0, uint32_t z1, uint32_t& c0, uint32_t& c1) {
    c0 = (0xe400u | z0) * 0x10001u;         // -(1024 + z0)
    c1 = (0xd400u | (z1 << 4)) * 0x10001u;  // -(64 + z1)
  }
  __device__ static uint32_t Fma(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t d;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
  }
  __device__ static uint32_t Add(uint32_t a, uint32_t b) {
    uint32_t d;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
  }
  // 0x6400 | code = 1024 + code, and 1024 + 16·code.
  __device__ static void Expand(uint32_t q, uint32_t c0, uint32_t c1, uint32_t (&a)[4]) {
    const uint32_t high = q >> 8;
    a[0] = Add(AndOr(q, 0x000f000fu, 0x64006400u), c0);
    a[1] = Fma(AndOr(q, 0x00f000f0u, 0x64006400u), 0x2c002c00u, c1);
    a[2] = Add(AndOr(high, 0x000f000fu, 0x64006400u), c0);
    a[3] = Fma(AndOr(high, 0x00f000f0u, 0x64006400u), 0x2c002c00u, c1);
  }
};

template <>
struct Codes<__nv_bfloat16> {
  static constexpr uint32_t kUnit = 0x3f803f80u;
  static constexpr float kEven = 1.0f;
  static constexpr float kOdd = 1.0f;
  __device__ static void ExpandRaw(uint32_t q, uint32_t (&a)[4]) {
    a[0] = AndOr(q, 0x000f000fu, 0x43004300u);
    a[1] = AndOr(q >> 4, 0x000f000fu, 0x43004300u);
    a[2] = AndOr(q >> 8, 0x000f000fu, 0x43004300u);
    a[3] = AndOr(q >> 12, 0x000f000fu, 0x43004300u);
  }
  __device__ static float EvenFactor(uint32_t z) { return static_cast<float>(z + 128); }
  __device__ static float OddFactor(uint32_t z) { return static_cast<float>(z + 128); }

  __device__ static void Zeros(uint32_t z0, uint32_t z1, uint32_t& c0, uint32_t& c1) {
    c0 = (0xc300u | z0) * 0x10001u;  // -(128 + z0)
    c1 = (0xc300u | z1) * 0x10001u;
  }
  __device__ static uint32_t Add(uint32_t a, uint32_t b) {
    uint32_t d;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(0x3f803f80u), "r"(b));
    return d;
  }
  __device__ static void Expand(uint32_t q, uint32_t c0, uint32_t c1, uint32_t (&a)[4]) {
    a[0] = Add(AndOr(q, 0x000f000fu, 0x43004300u), c0);
    a[1] = Add(AndOr(q >> 4, 0x000f000fu, 0x43004300u), c1);
    a[2] = Add(AndOr(q >> 8, 0x000f000fu, 0x43004300u), c0);
    a[3] = Add(AndOr(q >> 12, 0x000f000fu, 0x43004300u), c1);
  }
};

}  // namespace awq::cuda
