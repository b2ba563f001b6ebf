// Codes of a stage in shared memory as A operands of wgmma: what wide_linear wants of a layout.
#pragma once

#include "awq/backend/cuda/codes_q8.cuh"

namespace awq::cuda {

// Makes 16-bit floats, (code - zero) · scale · kUnit, of the codes of two outputs.
template <typename T>
struct ScaledCodes;

template <>
struct ScaledCodes<__nv_bfloat16> {
  static constexpr float kUnit = 1.0f;
  uint32_t scales, zeros;

  __device__ void Set(uint32_t scale_pair, uint32_t zero_bytes) {
    scales = scale_pair;
    zeros = zero_bytes;
  }
  // Of bytes 0 and 2 of two words, or, second, of 1 and 3: the fragment's first and last 8 inputs.
  __device__ void Expand(uint32_t first, uint32_t last, bool second, uint32_t (&a)[4]) const {
    const int byte = second ? 8 : 0;
    CodePairs<__nv_bfloat16> pairs;
    pairs.SetZeros(zeros & 0xff, zeros >> 8);
    pairs.Expand(first >> byte, last >> byte, a);
    CodePairs<__nv_bfloat16>::Scale(scales, a);
  }
};

// Codes in bits 0 to 3 and 4 to 7 of an f16 are denormals, code · 2^-24 and code · 2^-20; one
// operation makes the product of them, since it is known how large scales are (pack_q4.h). The term
// of the zero point is rounded as well, once for all inputs of a group: twice the error of one
// rounding in the mean square where the inputs of a group have no mean, up to 10^-5 of y where it
// is as large as their deviation (docs/kernels.md). Weights a thousandth of the largest keep two
// digits.
template <>
struct ScaledCodes<__half> {
  static constexpr float kUnit = 0x1p-21f;
  uint32_t even, odd;            // scale · 2^3, scale / 2, each twice
  uint32_t even_less, odd_less;  // -zero · scale · 2^-21

  __device__ void Set(uint32_t scales, uint32_t zeros) {
    const uint32_t codes =  // -zeros, where codes lie
        AndOr(zeros, 0xfu, AndOr(zeros << 12, 0x00f00000u, 0x80008000u));
    uint32_t less;
    asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(scales) : "r"(0x38004800u));
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(less) : "r"(codes), "r"(scales));
    even = __byte_perm(scales, 0, 0x1010);
    odd = __byte_perm(scales, 0, 0x3232);
    even_less = __byte_perm(less, 0, 0x1010);
    odd_less = __byte_perm(less, 0, 0x3232);
  }
  __device__ void Expand(uint32_t first, uint32_t last, bool second, uint32_t (&a)[4]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      uint32_t w = i == 0 ? first : last;
      if (second) w >>= 8;
      asm("fma.rn.f16x2 %0, %1, %2, %3;"
          : "=r"(a[2 * i])
          : "r"(w & 0x000f000fu), "r"(even), "r"(even_less));
      asm("fma.rn.f16x2 %0, %1, %2, %3;"
          : "=r"(a[2 * i + 1])
          : "r"(w & 0x00f000f0u), "r"(odd), "r"(odd_less));
    }
  }
};

// What sums of products with activations of this type count.
inline float UnitOfCodes(DType act) {
  return act == DType::kF16 ? ScaledCodes<__half>::kUnit : ScaledCodes<__nv_bfloat16>::kUnit;
}

// Of layout.h.
template <int kGroups_, bool kZeros>
struct WideQ4 {
  static constexpr int kGroups = kGroups_;  // in 128 inputs
  // Whether 128 rows of x leave registers for a batch of two steps only.
  static constexpr bool kSmallBatches = !kZeros;
  static constexpr int kMeta = 2 * kTileN + (kZeros ? kTileN : 0);
  static constexpr int kBlockBytes = kCodeBytes + kGroups * kMeta;
  static constexpr int kMostBytes = kCodeBytes + 4 * 3 * kTileN;
  static constexpr int kSteps = 4;  // of 16 inputs, whose codes LoadMatrices brings at once

  __device__ static void CopyBlocks(uint32_t to, const void* map, int block, int row_tile,
                                    uint32_t bar) {
    BoxCopy(to, map, 0, block, row_tile, bar);
  }
  // Where in a block the 16 bytes lie whose address this lane gives to LoadMatrices in the first
  // step, and how much further on they are in a later one.
  __device__ static int FirstPlace(int lane) { return 16 * PlaceOfLane(lane % 8 * 4 + lane / 8); }
  __device__ static int Turn(int /*first*/) { return 0; }
  __device__ static int Further(int step, int /*turn*/) { return step / 4 * 512; }

  template <typename T>
  struct Meta : ScaledCodes<T> {
    __device__ void Load(const uint8_t* block, int g, int r, float /*unit*/) {
      const uint8_t* meta = block + kCodeBytes + g * kMeta;
      uint32_t zeros;
      if constexpr (kZeros) {
        zeros = *reinterpret_cast<const uint16_t*>(meta + 32 + 2 * r);
      } else {  // not as a constant: the compiler would expand more at a time than fits
        zeros = 0x0808u;
      }
      this->Set(*reinterpret_cast<const uint32_t*>(meta + 4 * r), zeros);
    }
  };
  template <typename T>
  __device__ static void Expand(const uint32_t (&words)[4], int step, const Meta<T>& meta,
                                uint32_t (&a)[4]) {
    const uint32_t* w = &words[step % 2 * 2];
    meta.Expand(w[0], w[1], step % 4 / 2 != 0, a);
  }
};

// Of layout_q8.h. Scales are f32 there, and count `unit`, so that f16 holds them.
template <int kGroups_>
struct WideQ8 {
  static constexpr int kGroups = kGroups_;
  static constexpr bool kSmallBatches = true;
  static constexpr int kBlockBytes = Q8Shape::kCodes + kGroups * Q8Shape::kMeta;
  static constexpr int kMostBytes = Q8Shape::kCodes + 2 * Q8Shape::kMeta;
  static constexpr int kSteps = 2;

  __device__ static void CopyBlocks(uint32_t to, const void* map, int block, int row_tile,
                                    uint32_t bar) {
    BoxCopy(to, map, 0, 0, block, row_tile, bar);
  }
  // Even and odd outputs of 16 inputs, then of the next 16.
  __device__ static int FirstPlace(int lane) {
    return lane / 8 % 2 * 512 + 16 * PlaceOfLane(lane % 8 * 4 + lane / 16);
  }
  // PlaceOfLane of 32 inputs further on differs in one bit.
  __device__ static int Turn(int first) { return (first ^ 32) - first; }
  __device__ static int Further(int step, int turn) {
    return step % 4 / 2 * turn + step / 4 * 1024;
  }

  template <typename T>
  struct Meta {
    uint32_t scales, zeros;
    __device__ void Load(const uint8_t* block, int g, int r, float unit) {
      const uint8_t* meta = block + Q8Shape::kCodes + g * Q8Shape::kMeta;
      const float2 s = *reinterpret_cast<const float2*>(meta + 8 * r);
      const __half2 pair = __floats2half2_rn(s.x * unit, s.y * unit);
      scales = reinterpret_cast<const uint32_t&>(pair);
      zeros = *reinterpret_cast<const uint16_t*>(meta + 4 * kTileN + 2 * r);
    }
  };
  template <typename T>
  __device__ static void Expand(const uint32_t (&words)[4], int step, const Meta<T>& meta,
                                uint32_t (&a)[4]) {
    ExpandQ8<T>(words[step % 2 * 2], words[step % 2 * 2 + 1], meta.zeros, a);
    CodePairs<T>::Scale(meta.scales, a);
  }
};

}  // namespace awq::cuda
