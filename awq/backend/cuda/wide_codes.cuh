// Codes of a stage in shared memory as A operands of wgmma: what wide_linear wants of a layout.
#pragma once

#include "awq/backend/cuda/codes_q8.cuh"

namespace awq::cuda {

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

  struct Meta {
    uint32_t scales, zeros;  // of this lane's two outputs
    __device__ void Load(const uint8_t* block, int g, int r, float /*unit*/) {
      const uint8_t* meta = block + kCodeBytes + g * kMeta;
      scales = *reinterpret_cast<const uint32_t*>(meta + 4 * r);
      if constexpr (kZeros) {
        zeros = *reinterpret_cast<const uint16_t*>(meta + 32 + 2 * r);
      } else {  // not as a constant: the compiler would expand more at a time than fits
        zeros = 0x0808u;
      }
    }
  };
  template <typename T>
  __device__ static void Expand(const uint32_t (&words)[4], int step, const Meta& meta,
                                uint32_t (&a)[4]) {
    const uint32_t* w = &words[step % 2 * 2];
    const int byte = step % 4 / 2 * 8;
    CodePairs<T> pairs;
    pairs.SetZeros(meta.zeros & 0xff, meta.zeros >> 8);
    pairs.Expand(w[0] >> byte, w[1] >> byte, a);
    CodePairs<T>::Scale(meta.scales, a);
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
  __device__ static void Expand(const uint32_t (&words)[4], int step, const Meta& meta,
                                uint32_t (&a)[4]) {
    ExpandQ8<T>(words[step % 2 * 2], words[step % 2 * 2 + 1], meta.zeros, a);
    CodePairs<T>::Scale(meta.scales, a);
  }
};

}  // namespace awq::cuda
