// Codes as operands of integer tensor cores: of an mma of 32 inputs, two outputs a lane.
#pragma once

#include "awq/backend/cuda/codes.cuh"
#include "awq/backend/cuda/layout_q8.h"

namespace awq::cuda {

// Of layout.h: a word masked twice, for outputs 2r and 2r + 1; the second is 16 times its code.
template <int kGroups_, bool kZeros>
struct Q4Codes {
  static constexpr int kGroups = kGroups_;  // in 128 inputs
  static constexpr int kDepth = 2;          // blocks ahead a warp
  static constexpr int kApart = 32;         // inputs of a word (digits.cuh)
  static constexpr float kOddUnit = 0.0625f;
  static constexpr int kMeta = 2 * kTileN + (kZeros ? kTileN : 0);
  static constexpr int kBlockBytes = kCodeBytes + kGroups * kMeta;

  // Where a lane finds its part of a block.
  struct Places {
    unsigned codes, scales, zeros;
    __device__ explicit Places(unsigned lane)
        : codes(16 * PlaceOfLane(static_cast<int>(lane))),
          scales(kCodeBytes + lane / 4 * 4),
          zeros(kCodeBytes + 2 * kTileN + lane / 4 * 2) {
      Keep(codes), Keep(scales), Keep(zeros);
    }
  };
  uint4 halves[2];  // of 64 inputs
  uint32_t scales[kGroups];
  uint32_t zeros[kGroups];

  __device__ void Load(const uint8_t* block, const Places& at) {
    halves[0] = LoadStream(block + at.codes);
    halves[1] = LoadStream(block + 512 + at.codes);
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      scales[g] = LoadOnce<uint32_t>(block + at.scales + g * kMeta);
      zeros[g] = kZeros ? LoadOnce<uint16_t>(block + at.zeros + g * kMeta) : 0x0808u;
    }
  }
  __device__ void Operand(int half, int step, uint32_t (&a)[4]) const {
    const uint4& c = halves[half];
    const uint32_t first = step == 0 ? c.x : c.z;
    const uint32_t last = step == 0 ? c.y : c.w;
    a[0] = first & 0x0f0f0f0fu;
    a[1] = first & 0xf0f0f0f0u;
    a[2] = last & 0x0f0f0f0fu;
    a[3] = last & 0xf0f0f0f0u;
  }
  __device__ float2 Scales(int g) const {
    return __half22float2(reinterpret_cast<const __half2&>(scales[g]));
  }
};

// Of layout_q8.h: the bytes as they lie, of outputs 2r and 2r + 1.
template <int kGroups_>
struct Q8Codes {
  static constexpr int kGroups = kGroups_;
  static constexpr int kDepth = 1;
  static constexpr int kApart = 8;
  static constexpr float kOddUnit = 1.0f;
  static constexpr int kBlockBytes = Q8Shape::kCodes + kGroups * Q8Shape::kMeta;

  struct Places {
    unsigned codes, scales, zeros;
    __device__ explicit Places(unsigned lane)
        : codes(16 * PlaceOfLane(static_cast<int>(lane))),
          scales(Q8Shape::kCodes + lane / 4 * 8),
          zeros(Q8Shape::kCodes + 4 * kTileN + lane / 4 * 2) {
      Keep(codes), Keep(scales), Keep(zeros);
    }
  };
  uint4 halves[2][2];  // [half][output]
  float2 scales[kGroups];
  uint32_t zeros[kGroups];

  __device__ void Load(const uint8_t* block, const Places& at) {
#pragma unroll
    for (int i = 0; i < 4; ++i) halves[i / 2][i % 2] = LoadStream(block + 512 * i + at.codes);
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      scales[g] = __ldg(reinterpret_cast<const float2*>(block + at.scales + g * Q8Shape::kMeta));
      zeros[g] = LoadOnce<uint16_t>(block + at.zeros + g * Q8Shape::kMeta);
    }
  }
  __device__ void Operand(int half, int step, uint32_t (&a)[4]) const {
    const uint4& even = halves[half][0];
    const uint4& odd = halves[half][1];
    a[0] = step == 0 ? even.x : even.z;
    a[1] = step == 0 ? odd.x : odd.z;
    a[2] = step == 0 ? even.y : even.w;
    a[3] = step == 0 ? odd.y : odd.w;
  }
  __device__ float2 Scales(int g) const { return scales[g]; }
};

}  // namespace awq::cuda
