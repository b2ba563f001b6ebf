// The W4 linear for many rows of x on sm_90a: yᵀ = W·xᵀ by wgmma, W expanded in registers.
//
// A thread block makes tiles of 256 outputs × kM rows of x, 64 outputs a warpgroup. Weights and x
// come through a ring in shared memory that a fifth warpgroup fills by bulk copies, a stage 128
// inputs: 16 blocks of the layout, and two tiles of x, [kM rows][64 inputs], out of an image of x
// that ArrangeX makes first: rows of 128 bytes swizzled as wgmma reads them, inputs in the order of
// the codes. A lane expands the codes of its own fragment into the A operand, multiplied with the
// scale of their group. (Loads into registers some steps ahead are no way to hide the latency of
// memory here: a warp has six scoreboards, and waiting for one load waits for all that share its.)
//
// A thread block takes tiles one after another. While there are fewer tiles than half the thread
// blocks, each tile's inputs are cut into equal parts; those who share a tile leave their sums in
// `partial`, and each adds up and stores its share: the result does not depend on who comes first.
#pragma once

#include "awq/backend/cuda/codes.cuh"
#include "awq/backend/cuda/wgmma.cuh"
#include "awq/backend/cuda/wide_q4.h"

namespace awq::cuda {

inline constexpr int kWideWarpgroups = 4;
template <int kM>
inline constexpr int kWideStages = kM == 128  ? 4
                                   : kM == 64 ? 6
                                              : 8;
// Of a stage: x, then the blocks, up to the next multiple of what swizzling needs.
AWQ_HD constexpr int WideStageBytes(int rows, int block_bytes) {
  return rows * 256 + (16 * block_bytes + 1023) / 1024 * 1024;
}

__device__ inline void BarSync(int id) { asm volatile("bar.sync %0, 128;" ::"r"(id) : "memory"); }

__device__ inline uint32_t LoadAcquire(const uint32_t* p) {
  uint32_t v;
  asm volatile("ld.acquire.gpu.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}

// A piece of work: a tile, and steps [begin, end) of 128 inputs each.
struct WideItem {
  int tile, part, begin, end;
  __device__ WideItem(const WideArgs& a, int item)
      : tile(item / a.parts),
        part(item % a.parts),
        begin(a.blocks_per_row * part / a.parts),
        end(a.blocks_per_row * (part + 1) / a.parts) {}
};

struct BiasPair {
  float even = 0.0f;
  float odd = 0.0f;
  __device__ BiasPair(const WideArgs& a, int n) {
    if (a.bias == nullptr) return;
    if (n < a.n) even = a.bias[n];
    if (n + 1 < a.n) odd = a.bias[n + 1];
  }
};

// y[m, n] and y[m, n + 1] of the sums y0 and y1; n is even.
template <typename T>
__device__ inline void StorePair(const WideArgs& a, int m, int n, float y0, float y1,
                                 const BiasPair& bias) {
  if (m >= a.m || n >= a.n) return;
  y0 = y0 * a.scale + bias.even;
  y1 = y1 * a.scale + bias.odd;
  const int64_t at = m * a.y_stride + n;
  if (a.y_pairs && n + 1 < a.n) {
    const T pair[2] = {static_cast<T>(y0), static_cast<T>(y1)};
    *reinterpret_cast<uint32_t*>(static_cast<T*>(a.y) + at) =
        reinterpret_cast<const uint32_t&>(pair);
    return;
  }
  for (int i = 0; i < 2 && n + i < a.n; ++i) {
    const float y = i == 0 ? y0 : y1;
    if (a.y_f32) {
      static_cast<float*>(a.y)[at + i] = y;
    } else {
      static_cast<T*>(a.y)[at + i] = static_cast<T>(y);
    }
  }
}

// One thread 32 inputs of a row: 16 bytes for each q of layout.h become 16 bytes for each pair of
// inputs that the lanes q read together in an mma step.
template <int kM>
__global__ void __launch_bounds__(64) ArrangeX(const WideArgs a) {
  AllowNextKernel();
  WaitForPreviousKernel();
  const int part = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int row = static_cast<int>(blockIdx.y);
  if (part >= 4 * a.blocks_per_row) return;
  uint4 v[4];
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    v[q] = make_uint4(0, 0, 0, 0);
    const int column = 32 * part + 8 * q;
    if (row < a.m && column < a.k) {
      v[q] = *reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(a.x) + row * a.x_stride +
                                             column);
    }
  }
  const int64_t stage = int64_t{row / kM} * 2 * a.blocks_per_row + part / 2;
  uint8_t* to = a.image + (stage * kM + row % kM) * 128;
  const uint4 out[4] = {
      make_uint4(v[0].x, v[1].x, v[2].x, v[3].x), make_uint4(v[0].y, v[1].y, v[2].y, v[3].y),
      make_uint4(v[0].z, v[1].z, v[2].z, v[3].z), make_uint4(v[0].w, v[1].w, v[2].w, v[3].w)};
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    *reinterpret_cast<uint4*>(to + 16 * ((part % 2 * 4 + j) ^ (row % 8))) = out[j];
  }
}

// Where a thread leaves its sums of a part of a tile.
template <int kM>
__device__ inline float4* PartSums(const WideArgs& a, int tile, int part, int wg, int thread) {
  return reinterpret_cast<float4*>(a.partial) +
         ((tile * a.parts + part) * kWideWarpgroups + wg) * (kM * 16) + thread;
}

// Waits for the sums of all parts of a tile, adds up this part's share of them and stores it. Each
// warpgroup does its own outputs.
template <typename T, int kM>
__device__ void ReduceTile(const WideArgs& a, int tile, int part, int wg, int thread) {
  uint32_t* flags = a.flags + (kWideWarpgroups * tile + wg) * 2;
  if (thread == 0) {
    while (LoadAcquire(flags) < static_cast<uint32_t>(a.parts)) {
    }
  }
  BarSync(1 + wg);
  constexpr int kQuads = kM / 8;  // of sums, a thread
  const int row_tile = tile / a.m_tiles * 16 + wg * 4 + thread / 32;
  const int end = kQuads * (part + 1) / a.parts;
  for (int quad = kQuads * part / a.parts; quad < end; ++quad) {
    const float4* from = PartSums<kM>(a, tile, 0, wg, thread) + quad * 128;
    float4 sum = __ldcg(from);
#pragma unroll 8
    for (int p = 1; p < a.parts; ++p) {
      const float4 v = __ldcg(from + p * (kM * 64));
      sum.x += v.x;
      sum.y += v.y;
      sum.z += v.z;
      sum.w += v.w;
    }
    const int n = row_tile * kTileN + thread % 32 / 4 * 2;
    const int m = tile % a.m_tiles * kM + 8 * quad + 2 * (thread % 4);
    const BiasPair bias(a, n);
    StorePair<T>(a, m, n, sum.x, sum.z, bias);
    StorePair<T>(a, m + 1, n, sum.y, sum.w, bias);
  }
  BarSync(1 + wg);
  if (thread == 0 && atomicAdd(flags + 1, 1u) == static_cast<uint32_t>(a.parts) - 1) {
    flags[1] = 0;
    atomicExch(flags, 0u);
  }
}

template <typename T, int kGroups, bool kZeros, int kM>
__global__ void __launch_bounds__(128 * (kWideWarpgroups + 1), 1) WideQ4(const WideArgs a) {
#if AWQ_SM90A
  constexpr int kStages = kWideStages<kM>;
  constexpr int kMeta = 2 * kTileN + (kZeros ? kTileN : 0);
  constexpr int kBlockBytes = kCodeBytes + kGroups * kMeta;
  constexpr int kXBytes = kM * 256;
  constexpr int kStageBytes = WideStageBytes(kM, kBlockBytes);
  extern __shared__ uint8_t dynamic[];
  __shared__ uint64_t barriers[2][kStages];  // full, empty
  uint8_t* ring = dynamic + (1024 - SharedAddress(dynamic) % 1024) % 1024;
  const uint32_t full = SharedAddress(&barriers[0][0]);
  const uint32_t empty = SharedAddress(&barriers[1][0]);
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int group = static_cast<int>(threadIdx.x) / 128;  // the last one: the producer
  const int per_tile = a.blocks_per_row;
  const int items = a.m_tiles * a.n_tiles * a.parts;
  const int first_item = static_cast<int>(blockIdx.x);
  const int blocks = static_cast<int>(gridDim.x);

  AllowNextKernel();
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) {
      BarrierInit(full + 8 * s, 2);  // x, and weights
      BarrierInit(empty + 8 * s, 4 * kWideWarpgroups);
    }
    BarrierInitFence();
  }
  __syncthreads();
  int stage = 0;
  uint32_t phase = 0;
  const auto advance = [&] {
    if (++stage == kStages) stage = 0, phase ^= 1;
  };

  if (group == kWideWarpgroups) {
    GiveRegisters<32>();
    const bool weights = warp == 0 && lane < 16;
    if (!weights && thread != 32) return;
    if (!weights) WaitForPreviousKernel();  // it arranges x
    for (int i = first_item; i < items; i += blocks) {
      const WideItem item(a, i);
      const int row_tile = min(item.tile / a.m_tiles * 16 + lane, a.row_tiles - 1);
      const uint8_t* from =
          weights ? a.blocks + (int64_t{row_tile} * per_tile + item.begin) * kBlockBytes
                  : a.image + (int64_t{item.tile % a.m_tiles} * per_tile + item.begin) * kXBytes;
      for (int step = item.begin; step < item.end; ++step) {
        const uint32_t to = SharedAddress(ring + stage * kStageBytes);
        BarrierWait(empty + 8 * stage, phase ^ 1);  // the first round finds the ring empty
        if (weights) {
          if (lane == 0) BarrierExpect(full + 8 * stage, 16 * kBlockBytes);
          BulkCopy(to + kXBytes + lane * kBlockBytes, from, kBlockBytes, full + 8 * stage);
          from += kBlockBytes;
        } else {
          BarrierExpect(full + 8 * stage, kXBytes);
          BulkCopy(to, from, kXBytes, full + 8 * stage);
          from += kXBytes;
        }
        advance();
      }
    }
    return;
  }

  TakeRegisters<112>();
  const int wg = group;
  const int r = lane / 4;
  const int q = lane % 4;
  float acc[kM / 2];
  constexpr int kBatch = kM == 128 ? 4 : 8;  // mma steps expanded at a time: 96 registers a thread
  uint32_t operand[kBatch][4];
  int held = -1;  // the stage whose products may still be running
  for (int i = first_item; i < items; i += blocks) {
    const WideItem item(a, i);
#pragma unroll
    for (int j = 0; j < kM / 2; ++j) acc[j] = 0.0f;
    for (int step = item.begin; step < item.end; ++step) {
      BarrierWait(full + 8 * stage, phase);
      const uint8_t* x = ring + stage * kStageBytes;
      const uint8_t* block = x + kXBytes + (wg * 4 + warp) * kBlockBytes;
      const uint4 low = *reinterpret_cast<const uint4*>(block + 16 * lane);
      const uint4 high = *reinterpret_cast<const uint4*>(block + 512 + 16 * lane);
      uint32_t scales[kGroups];
      uint32_t zeros[kGroups];
#pragma unroll
      for (int g = 0; g < kGroups; ++g) {
        const uint8_t* meta = block + kCodeBytes + g * kMeta;
        scales[g] = *reinterpret_cast<const uint32_t*>(meta + 4 * r);
        zeros[g] = kZeros ? *reinterpret_cast<const uint16_t*>(meta + 32 + 2 * r) : 0x0808u;
      }
      const uint32_t words[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      const uint64_t b = SwizzledRows(SharedAddress(x));
#pragma unroll
      for (int first = 0; first < 8; first += kBatch) {
        WgmmaWait<0>();  // the other warpgroups' products go on meanwhile
        if (first == 0 && held >= 0 && lane == 0) BarrierArrive(empty + 8 * held);
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {
          const int g = (first + t) * kGroups / 8;
          CodePairs<T> pairs;
          pairs.SetZeros(zeros[g] & 0xff, zeros[g] >> 8);
          pairs.Expand(words[first + t], operand[t]);
          CodePairs<T>::Scale(scales[g], operand[t]);
        }
        WgmmaFence();
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {
          const int at = first + t;
          Wgmma<T, kM>(acc, operand[t], b + at / 4 * (kM * 128 / 16) + at % 4 * 2);
        }
        WgmmaCommit();
      }
      held = stage;
      advance();
    }
    WgmmaWait<0>();
    if (lane == 0) BarrierArrive(empty + 8 * held);
    held = -1;

    if (a.parts > 1) {
      float4* to = PartSums<kM>(a, item.tile, item.part, wg, thread);
#pragma unroll
      for (int j = 0; j < kM / 8; ++j) {
        const float* s = &acc[4 * j];
        __stcg(to + j * 128, make_float4(s[0], s[1], s[2], s[3]));
      }
      __threadfence();
      BarSync(1 + wg);
      if (thread == 0) atomicAdd(a.flags + (kWideWarpgroups * item.tile + wg) * 2, 1u);
      ReduceTile<T, kM>(a, item.tile, item.part, wg, thread);
      continue;
    }
    const int n = (item.tile / a.m_tiles * 16 + wg * 4 + warp) * kTileN + 2 * r;
    const BiasPair bias(a, n);
#pragma unroll
    for (int j = 0; j < kM / 8; ++j) {
      const int m = item.tile % a.m_tiles * kM + 8 * j + 2 * q;
      StorePair<T>(a, m, n, acc[4 * j], acc[4 * j + 2], bias);
      StorePair<T>(a, m + 1, n, acc[4 * j + 1], acc[4 * j + 3], bias);
    }
  }
#endif
}

}  // namespace awq::cuda
