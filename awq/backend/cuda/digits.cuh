// Inputs of a linear as digits, for integer tensor cores.
//
// The 128 inputs of a block of the layout share a power of two, 2^(E - 22) with 2^E above the
// largest of them. In its units a value is an integer of 23 bits (rounded, where it is below 2^-11
// of the largest), and that is three signed digits of base 256.
#pragma once

#include "awq/backend/cuda/layout.h"
#include "awq/backend/cuda/numeric.cuh"

namespace awq::cuda {

inline constexpr int kDigits = 3;
inline constexpr int kDigitBits = 8 * kDigits - 2;  // of a value of x, without its sign
// Of 128 inputs of a row of x: [half][digit][lane q][4] words in the order of the codes.
inline constexpr int kDigitWords = 2 * kDigits * 16;

// What the digits of a block count: those of even columns of the mma (the first two digits, 256
// times the second's unit) and of odd ones, for both outputs of a lane; then the sums of x of the
// block's groups, which are with the even columns alone.
template <int kGroups>
struct alignas(16) DigitScale {
  float unit, odd_unit;
  float sums[kGroups];
};

// Sixteen threads make the digits of 128 inputs of a row: each of four inputs and of those kApart
// further on, which are two words of a lane. 32 apart they are in turns in a word, as in layout.h;
// 8 apart two of the first follow each other, then two of the last, as in layout_q8.h.
template <typename T, int kApart>
struct FourAndFour {
  static_assert(kApart == 32 || kApart == 8);
  uint2 raw[2];
  __device__ static unsigned FirstInput(unsigned part) {
    return kApart == 8 ? part / 2 * 16 + part % 2 * 4
                       : part / 8 * 64 + part / 2 % 4 * 8 + part % 2 * 4;
  }
  __device__ void Load(const T* x, int left) {  // from there on, that the row has
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      raw[i] = make_uint2(0, 0);
      if (kApart * i < left) raw[i] = *reinterpret_cast<const uint2*>(x + kApart * i);
    }
  }
  __device__ float operator()(int i, int j) const {
    return ToFloat(reinterpret_cast<const T*>(&raw[i])[j]);
  }
};

// odd: the unit of odd outputs beside that of even ones.
template <int kGroups, int kApart = 32, typename Inputs>
__device__ inline void MakeDigits(const Inputs& x, unsigned part, bool store, float odd,
                                  uint32_t* digits, DigitScale<kGroups>* scale) {
  float v[2][4];
  float largest = 0.0f;
  float sums[2] = {};  // of both runs of inputs
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      v[i][j] = x(i, j);
      largest = fmaxf(largest, fabsf(v[i][j]));
      sums[i] += v[i][j];
    }
  }
  static_assert(kGroups < 4 || kApart == 32);
  if (kGroups < 4) sums[0] += sums[1];
#pragma unroll
  for (int step = 1; step < 16; step *= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
    if (step < 8 || kGroups == 1) sums[0] += __shfl_xor_sync(~0u, sums[0], step);
    if (step < 8 && kGroups == 4) sums[1] += __shfl_xor_sync(~0u, sums[1], step);
  }
  if (!store) return;
  // 2^E > largest; what is too small for a block of its own becomes zero.
  const uint32_t exponent = (__float_as_uint(fmaxf(largest, 0x1p-80f)) >> 23) + 1;
  const float to_digits = __uint_as_float((127 + kDigitBits + 127 - exponent) << 23);
  uint32_t t[2][4];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      // 2^22 + 2^23 + the number, as an integer; each byte plus 128.
      t[i][j] = __float_as_uint(fmaf(v[i][j], to_digits, 12582912.0f)) + 0x00408080u;
    }
  }
  uint32_t* to = digits + part / 8 * (kDigits * 16) + part / 2 % 4 * 4 + part % 2 * 2;
#pragma unroll
  for (int d = 0; d < kDigits; ++d) {  // the most significant first
    const uint32_t pick = (kDigits - 1 - d) * 0x11u + 0x40u;
    uint32_t words[2];
#pragma unroll
    for (int w = 0; w < 2; ++w) {
      const bool turns = kApart == 32;
      const uint32_t low = turns ? __byte_perm(t[0][2 * w], t[1][2 * w], pick)
                                 : __byte_perm(t[0][2 * w], t[0][2 * w + 1], pick);
      const uint32_t high = turns ? __byte_perm(t[0][2 * w + 1], t[1][2 * w + 1], pick)
                                  : __byte_perm(t[1][2 * w], t[1][2 * w + 1], pick);
      words[w] = __byte_perm(low, high, 0x5410u) ^ 0x80808080u;
    }
    *reinterpret_cast<uint2*>(to + d * 16) = make_uint2(words[0], words[1]);
  }
  if (part % 8 == 0) {
    if (part == 0) {
      // A block with infinities or none-numbers has no digits: what it is part of is none either.
      const float unit = largest < __int_as_float(0x7f800000)
                             ? __uint_as_float((exponent - kDigitBits) << 23)
                             : __int_as_float(0x7fffffff);
      scale[0].unit = unit * 256.0f;
      scale[0].odd_unit = unit * 256.0f * odd;
      scale[1].unit = unit;
      scale[1].odd_unit = unit * odd;
    }
    const unsigned first = kGroups == 1 ? 0 : part / 8 * (kGroups / 2);
    if (kGroups > 1 || part == 0) {
      scale[0].sums[first] = sums[0];
      scale[1].sums[first] = 0.0f;
    }
    if constexpr (kGroups == 4) {
      scale[0].sums[first + 1] = sums[1];
      scale[1].sums[first + 1] = 0.0f;
    }
  }
}

}  // namespace awq::cuda
