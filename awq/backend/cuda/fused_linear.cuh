// A linear inside fused_layers.cuh: digits of x from what the blocks have handed over, products of
// this block's row tiles as they come through the ring, and the sums of all warps.
#pragma once

#include "awq/backend/cuda/digits.cuh"
#include "awq/backend/cuda/fused_hop.cuh"
#include "awq/backend/cuda/fused_ring.cuh"
#include "awq/backend/cuda/integer.cuh"

namespace awq::cuda {

// What sixteen threads make digits of: 128 inputs, each of four and of the four 32 further on.
struct EightInputs {
  float v[2][4];
  __device__ static int First() {
    return static_cast<int>(FourAndFour<float, 32>::FirstInput(threadIdx.x % 16));
  }
  __device__ float operator()(int i, int j) const { return v[i][j]; }
  __device__ bool Load(const float* from, uint32_t tag, bool wanted) {
    const bool first = awq::cuda::Load(from, tag, wanted, v[0]);
    const bool second = awq::cuda::Load(from + 32, tag, wanted, v[1]);
    return first & second;
  }
};
inline constexpr int kFusedUnits = kFusedThreads / 16;  // of 128 inputs at a time

// x as it was handed over, in its first kTurns · kFusedUnits units from `first` on.
template <int kTurns>
__device__ inline void AwaitInputs(const float* from, uint32_t tag, int first, int units,
                                   EightInputs (&x)[kTurns]) {
  const int unit = first + static_cast<int>(threadIdx.x) / 16;
  from += unit * kBlockK + EightInputs::First();
  for (;;) {
    bool there = true;
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
      there &= x[t].Load(from + t * kFusedUnits * kBlockK, tag, unit + t * kFusedUnits < units);
    }
    if (there) break;
    __nanosleep(32);
  }
  __syncwarp();  // else every exchange between lanes takes the long way
}
template <int kTurns>
__device__ inline void StoreDigits(const EightInputs (&x)[kTurns], int first, int units,
                                   uint32_t* digits, DigitScale<1>* scales) {
  const int unit = first + static_cast<int>(threadIdx.x) / 16;
#pragma unroll
  for (int t = 0; t < kTurns; ++t) {
    if (first + t * kFusedUnits >= units) break;
    const int at = unit + t * kFusedUnits;
    MakeDigits<1>(x[t], threadIdx.x % 16, at < units, 0.0625f, digits + at * kDigitWords,
                  scales + 2 * at);
    if (threadIdx.x % 16 == 0 && at < units) scales[2 * at + 1].sums[0] = scales[2 * at].sums[0];
  }
}

// Where a lane finds its part of a slot's blocks, and of inputs.
struct FusedPlaces {
  uint32_t codes, scales, zeros, columns, units;
  int first_weight;
  __device__ FusedPlaces(const FusedArgs& a, uint32_t base) {
    const unsigned warp = threadIdx.x / 32;
    const unsigned lane = threadIdx.x % 32;
    const uint32_t block = warp * a.block_bytes;
    codes = block + 16 * PlaceOfLane(static_cast<int>(lane));
    scales = block + kCodeBytes + lane / 4 * 4;
    // Of zero points a lane has one output of one of two tiles.
    zeros = block + kCodeBytes + lane % 16 * 2;
    columns = base + a.shared.digits + warp * (4 * kDigitWords) + lane / 4 * 64 + lane % 4 * 16;
    units = base + a.shared.scales + (2 * warp + lane % 2) * sizeof(DigitScale<1>);
    first_weight = lane % 2 == 0 ? 256 : 1;
    Keep(codes), Keep(scales), Keep(zeros), Keep(columns), Keep(units), Keep(first_weight);
  }
};

// From the inputs of a warp's block to those of its next one, in shared memory.
inline constexpr uint32_t kFusedColumnBytes = kFusedWarps * 4 * kDigitWords;
inline constexpr uint32_t kFusedUnitBytes = kFusedWarps * 2 * sizeof(DigitScale<1>);
inline constexpr int kSumStride = kFusedWarps * kTileN;  // of a row tile's sums

// Warps take the blocks of two slots at a time, of two row tiles or, kHalves, of one; all sums of a
// warp stay in it until the end. A word of codes is an operand twice: masked, and as it is, which
// counts 16 times the code of the upper output plus that of the lower one. two: there is a second
// tile.
template <bool kHalves>
__device__ inline void FusedTiles(const FusedArgs& a, const FusedPlaces& places, Ring& ring,
                                  bool two, int blocks, float* to) {
  constexpr int kBlocks = kHalves ? 2 * kFusedWarps : kFusedWarps;  // of a tile at a time
  constexpr int kInputs = kHalves ? 2 : 1;                          // that differ
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const unsigned lane = threadIdx.x % 32;
  const unsigned r = lane / 4;
  float even[2] = {};
  float odd[2] = {};  // 16 times
  float zero = 0.0f;
  uint32_t columns = places.columns;
  uint32_t units = places.units;
  uint32_t b[kInputs][2][4] = {};
#pragma unroll 1
  for (int left = blocks; left > 0; left -= kBlocks) {
    const bool has_second = kHalves ? left > kFusedWarps : two;
    const Ring first = ring;
    first.Wait();
    ring.Next();
    const Ring second = has_second ? ring : first;
    if (has_second) {
      second.Wait();
      ring.Next();
    }
    uint32_t codes[2][2][4];
    uint32_t scale[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const uint32_t slot = e == 0 ? first.slot : second.slot;
      LoadShared(slot + places.codes, codes[e][0]);
      LoadShared(slot + places.codes + 512, codes[e][1]);
      scale[e] = LoadSharedOne<uint32_t>(slot + places.scales);
    }
    const uint32_t zeros = (lane < 16 ? first.slot : second.slot) + places.zeros;
    const uint16_t z_scale = LoadSharedOne<uint16_t>(zeros);
    const uint32_t z = a.has_zeros ? LoadSharedOne<uint8_t>(zeros + 32 - lane % 16) : 8;
    __syncwarp();
    if (lane == 0) {
      first.GiveBack();
      if (has_second) second.GiveBack();
    }
    if (left > warp) {
      const bool both = !kHalves || left > warp + kFusedWarps;
      float unit[kInputs][4];
#pragma unroll
      for (int i = 0; i < kInputs; ++i) {
        if (i > 0 && !both) break;
        LoadShared(units + i * kFusedUnitBytes, unit[i]);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          // The other columns are zeros.
          asm volatile(
              "{\n.reg .pred p;\nsetp.lt.u32 p, %5, 3;\n"
              "@p ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];\n}"
              : "+r"(b[i][half][0]), "+r"(b[i][half][1]), "+r"(b[i][half][2]), "+r"(b[i][half][3])
              : "r"(columns + i * kFusedColumnBytes + half * (2 * kDigitWords)), "r"(r)
              : "memory");
        }
      }
      int n[2][4] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int step = 0; step < 2; ++step) {
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            const auto& inputs = b[e % kInputs][half];
            const uint32_t first = codes[e][half][2 * step];
            const uint32_t last = codes[e][half][2 * step + 1];
            const uint32_t w[4] = {first & 0x0f0f0f0fu, first, last & 0x0f0f0f0fu, last};
            MmaBytes(n[e], w, inputs[2 * step], inputs[2 * step + 1]);
          }
        }
      }
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        if (e > 0 && !both) break;
        const auto& u = unit[e % kInputs];
        const float2 w = __half22float2(reinterpret_cast<const __half2&>(scale[e]));
        const int lower = n[e][0] * places.first_weight + n[e][1];
        const int upper = n[e][2] * places.first_weight + (n[e][3] - lower);
        even[e] += w.x * (u[0] * static_cast<float>(lower));
        odd[e] += w.y * (u[0] * static_cast<float>(upper));
      }
      if (both || lane < 16) {
        const float sum = lane < 16 ? unit[0][2] : unit[kInputs - 1][2];
        zero += __half2float(__ushort_as_half(z_scale)) * (static_cast<float>(z) * sum);
      }
    }
    columns += kInputs * kFusedColumnBytes;
    units += kInputs * kFusedUnitBytes;
  }
#pragma unroll
  for (int e = 0; e < 2; ++e) {
    even[e] += __shfl_xor_sync(~0u, even[e], 1);
    odd[e] += __shfl_xor_sync(~0u, odd[e], 1);
    even[e] -= __shfl_sync(~0u, zero, 16 * e + 2 * r);
    odd[e] = odd[e] * 0.0625f - __shfl_sync(~0u, zero, 16 * e + 2 * r + 1);
    if (!kHalves && lane % 4 == 0 && (e == 0 || two)) {
      *reinterpret_cast<float2*>(to + e * kSumStride) = make_float2(even[e], odd[e]);
    }
  }
  if (kHalves && lane % 4 == 0) {
    *reinterpret_cast<float2*>(to) = make_float2(even[0] + even[1], odd[0] + odd[1]);
  }
}

// kHalves: the last of an odd number of row tiles by halves, which saves time where a block has
// few of them.
template <bool kHalves>
__device__ inline void FusedProduct(const FusedArgs& a, const FusedPlaces& places, Ring& ring,
                                    int tiles, int blocks, float* sums) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const unsigned lane = threadIdx.x % 32;
  float* to = sums + warp * kTileN + 2 * (lane / 4);
#pragma unroll 1
  for (int tile = 0; tile < tiles - (kHalves ? 1 : 0); tile += 2, to += 2 * kSumStride) {
    FusedTiles<false>(a, places, ring, tile + 1 < tiles, blocks, to);
  }
  if (kHalves && tiles % 2 != 0) FusedTiles<true>(a, places, ring, false, blocks, to);
}

__device__ inline float FusedSum(const float* sums, int i) {
  float y = 0.0f;
#pragma unroll
  for (int w = 0; w < kFusedWarps; ++w) {
    y += sums[i / kTileN * kSumStride + w * kTileN + i % kTileN];
  }
  return y;
}

}  // namespace awq::cuda
