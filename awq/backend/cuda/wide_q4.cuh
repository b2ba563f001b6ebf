// The W4 linear for many rows of x on sm_90a: yᵀ = W·xᵀ by wgmma, W expanded in registers.
//
// A thread block makes tiles of 256 or 192 outputs × kM rows of x, 64 outputs a warpgroup. Weights
// and x come through a ring in shared memory that one more warpgroup fills, a stage 128 inputs: a
// box of 16 or 12 blocks of the layout, and two boxes of x, [kM rows][64 inputs], straight from the
// rows of x, swizzled by the copy engine as wgmma reads them. A lane takes the codes of its outputs
// by ldmatrix (layout.h), which brings inputs into their own order, and expands them into the A
// operand, multiplied with the scale of their group. (Loads into registers some steps ahead are no
// way to hide the latency of memory here: a warp has six scoreboards, and waiting for one load
// waits for all that share its.)
//
// A thread block takes tiles one after another. While there are fewer tiles than half the thread
// blocks, each tile's inputs are cut into equal parts, one for each thread block of a cluster; each
// sends its sums to the block that stores them, which adds them in the order of the parts.
#pragma once

#include "awq/backend/cuda/codes.cuh"
#include "awq/backend/cuda/gate.cuh"
#include "awq/backend/cuda/wgmma.cuh"
#include "awq/backend/cuda/wide_q4.h"

namespace awq::cuda {

inline constexpr int kWideParts = 8;  // of a tile at most: blocks of a cluster
template <int kM>
inline constexpr int kWideStages = kM == 128  ? 4
                                   : kM == 64 ? 6
                                   : kM == 32 ? 8
                                              : 9;
// Of a stage: x, then the blocks, up to the next multiple of what swizzling needs.
AWQ_HD constexpr int WideStageBytes(int rows, int warpgroups, int block_bytes) {
  return rows * 256 + (4 * warpgroups * block_bytes + 1023) / 1024 * 1024;
}

// A piece of work: a tile, and steps [begin, end) of 128 inputs each.
struct WideItem {
  int m_tile, n_tile, part, begin, end;
  __device__ WideItem(const WideArgs& a, int item)
      : m_tile(item / a.parts % a.m_tiles),
        n_tile(item / a.parts / a.m_tiles),
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
  if (a.gate >= 0) return StoreGated<T>(a, m, n, y0, y1);
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

// The rows of a tile are shared out among its parts in eights ("quads": a thread has four sums of
// each): part p stores those from QuadsBefore(p) on.
template <int kM>
__device__ inline int QuadsBefore(int part, int parts) {
  return kM / 8 * part / parts;
}

// Sends each quad of this thread's sums to its part, waits for those of this part and stores them.
// `sums` is shared memory that the whole cluster has done with, `arrived` a barrier that expects
// what the others send.
template <typename T, int kM, int kWarpgroups>
__device__ void ShareSums(const WideArgs& a, const WideItem& item, const float (&acc)[kM / 2],
                          uint8_t* sums, uint32_t arrived) {
  constexpr int kQuads = kM / 8;
  constexpr int kQuadBytes = 128 * kWarpgroups * 16;
  const int thread = static_cast<int>(threadIdx.x);
  // [part that sends][quad of the part that stores]
  const int most = (kQuads + a.parts - 1) / a.parts;
  uint8_t* mine = sums + thread * 16;
  uint8_t* row = mine + item.part * most * kQuadBytes;
  int owner = -1;
  int first = 0;
#pragma unroll
  for (int quad = 0; quad < kQuads; ++quad) {
    const int next = ((quad + 1) * a.parts - 1) / kQuads;
    if (next != owner) owner = next, first = quad;
    const float v[4] = {acc[4 * quad], acc[4 * quad + 1], acc[4 * quad + 2], acc[4 * quad + 3]};
    uint8_t* at = row + (quad - first) * kQuadBytes;
    if (owner == item.part) {
      *reinterpret_cast<float4*>(at) = make_float4(v[0], v[1], v[2], v[3]);
    } else {
      ClusterStore(SharedAddress(at), arrived, static_cast<uint32_t>(owner), v);
    }
  }
  const int begin = QuadsBefore<kM>(item.part, a.parts);
  const int end = QuadsBefore<kM>(item.part + 1, a.parts);
  if (begin == end) return;
  BarrierWait(arrived, 0);
  const int n = item.n_tile * 64 * kWarpgroups + thread / 32 * kTileN + thread % 32 / 4 * 2;
  const BiasPair bias(a, n);
  for (int quad = begin; quad < end; ++quad) {
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 8
    for (int part = 0; part < a.parts; ++part) {
      const auto v =
          *reinterpret_cast<const float4*>(mine + (part * most + quad - begin) * kQuadBytes);
      sum.x += v.x;
      sum.y += v.y;
      sum.z += v.z;
      sum.w += v.w;
    }
    const int m = item.m_tile * kM + 8 * quad + 2 * (thread % 4);
    StorePair<T>(a, m, n, sum.x, sum.z, bias);
    StorePair<T>(a, m + 1, n, sum.y, sum.w, bias);
  }
}

template <typename T, int kGroups, bool kZeros, int kM, int kWarpgroups>
__global__ void __launch_bounds__(128 * (kWarpgroups + 1), 1)
    WideQ4(const __grid_constant__ WideArgs a) {
#if AWQ_SM90A
  constexpr int kStages = kWideStages<kM>;
  constexpr int kMeta = 2 * kTileN + (kZeros ? kTileN : 0);
  constexpr int kBlockBytes = kCodeBytes + kGroups * kMeta;
  constexpr int kXBytes = kM * 256;
  constexpr int kStageBytes = WideStageBytes(kM, kWarpgroups, kBlockBytes);
  extern __shared__ uint8_t dynamic[];
  __shared__ uint64_t barriers[2 * kStages + 1];  // full, empty, sums have arrived
  uint8_t* ring = dynamic + (1024 - SharedAddress(dynamic) % 1024) % 1024;
  const uint32_t full = SharedAddress(barriers);
  const uint32_t empty = full + 8 * kStages;
  const uint32_t arrived = empty + 8 * kStages;
  const int warp = static_cast<int>(threadIdx.x) % 128 / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = static_cast<int>(threadIdx.x) / 128;  // the last one: the producer
  const int items = a.m_tiles * a.n_tiles * a.parts;
  const int first_item = static_cast<int>(blockIdx.x);
  const int blocks = static_cast<int>(gridDim.x);

  AllowNextKernel();
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) {
      BarrierInit(full + 8 * s, 2);  // x, and weights
      BarrierInit(empty + 8 * s, 4 * kWarpgroups);
    }
    BarrierInit(arrived, 1);
    BarrierInitFence();
    if (a.parts > 1) {
      const WideItem item(a, first_item);
      const int quads =
          QuadsBefore<kM>(item.part + 1, a.parts) - QuadsBefore<kM>(item.part, a.parts);
      BarrierExpect(arrived, static_cast<uint32_t>((a.parts - 1) * quads * kWarpgroups * 2048));
    }
  }
  __syncthreads();
  int stage = 0;
  uint32_t phase = 0;
  const auto advance = [&] {
    if (++stage == kStages) stage = 0, phase ^= 1;
  };

  if (group == kWarpgroups) {
    GiveRegisters<32>();
    if (warp == 1) {
      if (lane != 0) return;
      PrefetchMap(&a.x);
      WaitForPreviousKernel();
      for (int i = first_item; i < items; i += blocks) {
        const WideItem item(a, i);
        const int row = item.m_tile * kM;
        for (int step = item.begin; step < item.end; ++step) {
          const uint32_t to = SharedAddress(ring + stage * kStageBytes);
          BarrierWait(empty + 8 * stage, phase ^ 1);  // the first round finds the ring empty
          BarrierExpect(full + 8 * stage, kXBytes);
          BoxCopy(to, &a.x, step * kBlockK, row, full + 8 * stage);
          BoxCopy(to + kXBytes / 2, &a.x, step * kBlockK + 64, row, full + 8 * stage);
          advance();
        }
      }
      return;
    }
    if (warp != 0 || lane != 0) return;
    PrefetchMap(&a.weights);
    for (int i = first_item; i < items; i += blocks) {
      const WideItem item(a, i);
      const int row_tile = item.n_tile * 4 * kWarpgroups;
      for (int step = item.begin; step < item.end; ++step) {
        const uint32_t to = SharedAddress(ring + stage * kStageBytes) + kXBytes;
        BarrierWait(empty + 8 * stage, phase ^ 1);
        BarrierExpect(full + 8 * stage, 4 * kWarpgroups * kBlockBytes);
        BoxCopy(to, &a.weights, 0, step, row_tile, full + 8 * stage);
        advance();
      }
    }
    return;
  }

  // A block has what it was launched with: 640 · 96 = 512 · 112 + 128 · 32 registers, or 512 · 128
  // > 384 · 152 + 128 · 32. Asking for more waits for ever.
  static_assert(kWarpgroups == 3 || kWarpgroups == 4);
  TakeRegisters<kWarpgroups == 4 ? 112 : 152>();
  const int r = lane / 4;
  const int q = lane % 4;
  // Of this warp's block: the 16 bytes whose address this lane gives to ldmatrix.
  const int codes_at =
      kXBytes + (group * 4 + warp) * kBlockBytes + 16 * PlaceOfLane(lane % 8 * 4 + lane / 8);
  float acc[kM / 2];
  // mma steps expanded at a time, while the products of as many others run: 112 or 152 registers.
  // With 128 rows and four warpgroups there is no room for a second batch (ptxas would wait for
  // each product), nor, without zero points, for more than two steps.
  constexpr bool kTight = kM == 128 && kWarpgroups == 4;
  constexpr int kBuffers = kTight ? 1 : 2;
  constexpr int kBatch = kTight && !kZeros ? 2 : 4;
  uint32_t operand[kBuffers][kBatch][4];
  int held = -1;  // the stage whose products may still be running
  for (int i = first_item; i < items; i += blocks) {
    const WideItem item(a, i);
#pragma unroll
    for (int j = 0; j < kM / 2; ++j) acc[j] = 0.0f;
#pragma unroll 1
    for (int step = item.begin; step < item.end; ++step) {
      BarrierWait(full + 8 * stage, phase);
      const uint8_t* x = ring + stage * kStageBytes;
      const uint8_t* block = x + kXBytes + (group * 4 + warp) * kBlockBytes;
      const uint32_t codes = SharedAddress(x + codes_at);
      uint32_t words[4];
      uint32_t scales[kGroups];
      uint32_t zeros[kGroups];
#pragma unroll
      for (int g = 0; g < kGroups; ++g) {
        const uint8_t* meta = block + kCodeBytes + g * kMeta;
        scales[g] = *reinterpret_cast<const uint32_t*>(meta + 4 * r);
        if constexpr (kZeros) {
          zeros[g] = *reinterpret_cast<const uint16_t*>(meta + 32 + 2 * r);
        } else {  // not as a constant: the compiler would expand more at a time than fits
          zeros[g] = 0x0808u;
        }
      }
      const uint64_t b = SwizzledRows(SharedAddress(x));
#pragma unroll
      for (int first = 0; first < 8; first += kBatch) {
        if (first % 4 == 0) LoadMatrices(codes + first / 4 * 512, words);
        auto& a_operand = operand[first / kBatch % kBuffers];
        WgmmaWait<kBuffers - 1>();
        if (first == (kBuffers - 1) * kBatch && held >= 0 && lane == 0)
          BarrierArrive(empty + 8 * held);
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {  // 16 inputs each
          const int at = first + t;
          const int g = at * kGroups / 8;
          const uint32_t* w = &words[at % 2 * 2];
          const int byte = at % 4 / 2 * 8;
          CodePairs<T> pairs;
          pairs.SetZeros(zeros[g] & 0xff, zeros[g] >> 8);
          pairs.Expand(w[0] >> byte, w[1] >> byte, a_operand[t]);
          CodePairs<T>::Scale(scales[g], a_operand[t]);
        }
        WgmmaFence();
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {
          const int at = first + t;
          Wgmma<T, kM>(acc, a_operand[t], b + at / 4 * (kM * 128 / 16) + at % 4 * 2);
        }
        WgmmaCommit();
      }
      held = stage;
      advance();
    }
    WgmmaWait<0>();
    if (a.parts > 1) {
      ClusterSync();
      ShareSums<T, kM, kWarpgroups>(a, item, acc, ring, arrived);
      return;
    }
    if (lane == 0) BarrierArrive(empty + 8 * held);
    held = -1;
    const int n = item.n_tile * 64 * kWarpgroups + (group * 4 + warp) * kTileN + 2 * r;
    const BiasPair bias(a, n);
#pragma unroll
    for (int j = 0; j < kM / 8; ++j) {
      const int m = item.m_tile * kM + 8 * j + 2 * q;
      StorePair<T>(a, m, n, acc[4 * j], acc[4 * j + 2], bias);
      StorePair<T>(a, m + 1, n, acc[4 * j + 1], acc[4 * j + 3], bias);
    }
  }
#endif
}

}  // namespace awq::cuda
