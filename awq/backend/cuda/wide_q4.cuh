// The W4 linear for many rows of x on sm_90a: yᵀ = W·xᵀ by wgmma, W expanded in registers.
//
// A thread block makes tiles of 128 to 256 outputs × kM rows of x, 64 outputs a warpgroup. Weights
// and x come through two rings in shared memory that one more warpgroup fills: a box of 8 to 16
// blocks of the layout, and boxes of x, [kM rows][64 inputs], straight from the rows of x, swizzled
// by the copy engine as wgmma reads them. A lane takes the codes of its outputs
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

// What a thread block is made of: warpgroups of 64 outputs, and one that copies, which gives its
// registers to the others.
template <int kRowsOfX, int kGroupsOfWarps, int kBlocksAnSm>
struct WideSize {
  static constexpr int kRows = kRowsOfX;  // of a tile
  static constexpr int kWarpgroups = kGroupsOfWarps;
  static constexpr int kBlocks = kBlocksAnSm;  // at once on an SM
  static constexpr int kThreads = 128 * (kWarpgroups + 1);

  // Each quarter of an SM has registers for whole warps only.
  static constexpr int kWarpsAQuarter = (kThreads / 32 * kBlocks + 3) / 4;
  static constexpr int kLaunched = 16384 / kWarpsAQuarter / 32 / 8 * 8;
  static constexpr int kLeft = 24;
  static constexpr int kMost = (kThreads * kLaunched - 128 * kLeft) / (128 * kWarpgroups) / 8 * 8;
  static constexpr int kRegisters = kMost < 240 ? kMost : 240;

  // The rings, in stages of 128 inputs. An SM has 228 KB, of
  // which each block costs one; another aligns the rings, then there are barriers.
  static constexpr int kSpace = (228 << 10) / kBlocks - (2 << 10) - 512;
  // Batches of mma steps whose operands have registers: one is expanded while the other's products
  // run. With two, ptxas would wait for each product if a wait for x lay between.
  static constexpr int kBuffers = kRows == 128 && kRegisters <= 128 ? 1 : 2;
  static constexpr int kXBytes = kRows * 256;
  static constexpr int kXStages = kBlocks == 1  ? kRows == 256   ? 3
                                                  : kRows == 128 ? 4
                                                  : kRows == 64  ? 6
                                                  : kRows == 32  ? 8
                                                                 : 9
                                  : kRows == 64 ? 4
                                  : kRows == 32 ? 6
                                                : 7;
  AWQ_HD static constexpr int StageBytes(int block_bytes) {  // of weights
    return (4 * kWarpgroups * block_bytes + 127) / 128 * 128;
  }
  static constexpr int kFit =
      (kSpace - kXStages * kXBytes) / StageBytes(kCodeBytes + 4 * 3 * kTileN);
  static constexpr int kStages = kFit < 9 ? kFit : 9;
  static_assert(kStages >= 2);
  static constexpr int SharedBytes(int block_bytes) {
    return 1024 + kXStages * kXBytes + kStages * StageBytes(block_bytes);
  }
};

// A piece of work: a tile, and steps [begin, end) of 128 inputs each. Tiles of m_group tiles of
// rows follow each other, so that their x stay in L2.
struct WideItem {
  int part, begin, end, m_tile, n_tile;
  __device__ WideItem(const WideArgs& a, int item)
      : part(item % a.parts),
        begin(a.blocks_per_row * part / a.parts),
        end(a.blocks_per_row * (part + 1) / a.parts) {
    const int tile = item / a.parts;
    const int before = tile / (a.m_group * a.n_tiles) * a.m_group;
    const int at = tile - before * a.n_tiles;
    const int rows = min(a.m_group, a.m_tiles - before);
    m_tile = before + at % rows;
    n_tile = at / rows;
  }
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

// All sums of this thread: rows m, m + 1, m + 8, m + 9 … of outputs n and n + 1. The plain case has
// code for each sum, others (gated, odd, f32) for an eighth of them, so that the code stays small.
template <typename T, int kM>
__device__ inline void StoreTile(const WideArgs& a, int m, int n, const float (&acc)[kM / 2]) {
  if (n >= a.n) return;
  const BiasPair bias(a, n);
  if (a.gate < 0 && a.y_pairs && n + 1 < a.n) {
    T* y = static_cast<T*>(a.y) + m * a.y_stride + n;
    const auto store = [&](T* to, float y0, float y1) {
      const T pair[2] = {static_cast<T>(y0 * a.scale + bias.even),
                         static_cast<T>(y1 * a.scale + bias.odd)};
      *reinterpret_cast<uint32_t*>(to) = reinterpret_cast<const uint32_t&>(pair);
    };
#pragma unroll
    for (int j = 0; j < kM / 8; ++j) {
      if (m + 8 * j < a.m) store(y, acc[4 * j], acc[4 * j + 2]);
      if (m + 8 * j + 1 < a.m) store(y + a.y_stride, acc[4 * j + 1], acc[4 * j + 3]);
      y += 8 * a.y_stride;
    }
    return;
  }
  constexpr int kTogether = kM < 64 ? 1 : kM / 64;
#pragma unroll 1
  for (int first = 0; first < kM / 8; first += kTogether) {
    float v[4 * kTogether] = {};
#pragma unroll
    for (int j = 0; j < kM / 8; j += kTogether) {
#pragma unroll
      for (int i = 0; i < 4 * kTogether; ++i) v[i] = j == first ? acc[4 * j + i] : v[i];
    }
#pragma unroll
    for (int j = 0; j < kTogether; ++j) {
      StorePair<T>(a, m + 8 * (first + j), n, v[4 * j], v[4 * j + 2], bias);
      StorePair<T>(a, m + 8 * (first + j) + 1, n, v[4 * j + 1], v[4 * j + 3], bias);
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

// A ring's barriers, full and empty, and a place in it.
template <int kStages>
struct WideRing {
  uint32_t full, empty;
  int stage = 0;
  uint32_t phase = 0;
  __device__ explicit WideRing(uint32_t barriers) : full(barriers), empty(barriers + 8 * kStages) {}
  __device__ void Advance() {
    if (++stage == kStages) stage = 0, phase ^= 1;
  }
  __device__ uint32_t Full() const { return full + 8 * stage; }
  __device__ uint32_t Empty() const { return empty + 8 * stage; }
};

// Copies the stages of x or of the weights, one after another, through all tiles of a block.
template <typename Size, bool kX, int kBlockBytes>
struct WideCopies {
  WideRing<kX ? Size::kXStages : Size::kStages> ring;
  uint32_t to;
  int i;
  int at, end, tile;

  __device__ WideCopies(const WideArgs& a, uint32_t barriers, uint32_t ring_at)
      : ring(barriers), to(ring_at), i(static_cast<int>(blockIdx.x)) {
    Begin(a);
  }
  __device__ void Begin(const WideArgs& a) {
    const WideItem item(a, i);
    at = item.begin;
    end = item.end;
    tile = kX ? item.m_tile * Size::kRows : item.n_tile * 4 * Size::kWarpgroups;
  }
  __device__ bool Done(const WideArgs& a) const { return i >= a.m_tiles * a.n_tiles * a.parts; }
  __device__ void Copy(const WideArgs& a) {
    BarrierWait(ring.Empty(), ring.phase ^ 1);  // the first round finds the ring empty
    if constexpr (kX) {
      const uint32_t stage = to + ring.stage * Size::kXBytes;
      BarrierExpect(ring.Full(), Size::kXBytes);
      BoxCopy(stage, &a.x, at * kBlockK, tile, ring.Full());
      BoxCopy(stage + Size::kXBytes / 2, &a.x, at * kBlockK + 64, tile, ring.Full());
    } else {
      BarrierExpect(ring.Full(), 4 * Size::kWarpgroups * kBlockBytes);
      BoxCopy(to + ring.stage * Size::StageBytes(kBlockBytes), &a.weights, 0, at, tile,
              ring.Full());
    }
    ring.Advance();
    if (++at < end) return;
    i += static_cast<int>(gridDim.x);
    if (!Done(a)) Begin(a);
  }
};

template <typename T, int kGroups, bool kZeros, typename Size>
__global__ void __launch_bounds__(Size::kThreads, Size::kBlocks)
    WideQ4(const __grid_constant__ WideArgs a) {
#if AWQ_SM90A
  constexpr int kM = Size::kRows;
  constexpr int kWarpgroups = Size::kWarpgroups;
  constexpr int kMeta = 2 * kTileN + (kZeros ? kTileN : 0);
  constexpr int kBlockBytes = kCodeBytes + kGroups * kMeta;
  using CopyX = WideCopies<Size, true, kBlockBytes>;
  using CopyWeights = WideCopies<Size, false, kBlockBytes>;
  extern __shared__ uint8_t dynamic[];
  // Full and empty stages of x, then of weights; sums have arrived.
  __shared__ uint64_t barriers[2 * Size::kXStages + 2 * Size::kStages + 1];
  uint8_t* x_ring = dynamic + (1024 - SharedAddress(dynamic) % 1024) % 1024;
  uint8_t* ring = x_ring + Size::kXStages * Size::kXBytes;
  const uint32_t x_barriers = SharedAddress(barriers);
  const uint32_t weight_barriers = x_barriers + 16 * Size::kXStages;
  const uint32_t arrived = weight_barriers + 16 * Size::kStages;
  const int warp = static_cast<int>(threadIdx.x) % 128 / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = static_cast<int>(threadIdx.x) / 128;  // the last one copies
  const int items = a.m_tiles * a.n_tiles * a.parts;
  const int first_item = static_cast<int>(blockIdx.x);
  const int blocks = static_cast<int>(gridDim.x);

  AllowNextKernel();
  if (threadIdx.x == 0) {
    for (int s = 0; s < Size::kXStages; ++s) {
      BarrierInit(x_barriers + 8 * s, 1);
      BarrierInit(x_barriers + 8 * (Size::kXStages + s), 4 * kWarpgroups);
    }
    for (int s = 0; s < Size::kStages; ++s) {
      BarrierInit(weight_barriers + 8 * s, 1);
      BarrierInit(weight_barriers + 8 * (Size::kStages + s), 4 * kWarpgroups);
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

  if (group == kWarpgroups) {
    GiveRegisters<Size::kLeft>();
    if (warp == 1 && lane == 0) {
      CopyX copy(a, x_barriers, SharedAddress(x_ring));
      PrefetchMap(&a.x);
      WaitForPreviousKernel();
      while (!copy.Done(a)) copy.Copy(a);
    }
    if (warp == 0 && lane == 0) {
      CopyWeights copy(a, weight_barriers, SharedAddress(ring));
      PrefetchMap(&a.weights);
      while (!copy.Done(a)) copy.Copy(a);
    }
    return;
  }

  // A block has what it was launched with; asking for more waits for ever.
  TakeRegisters<Size::kRegisters>();
  const int r = lane / 4;
  const int q = lane % 4;
  const int block_at = (group * 4 + warp) * kBlockBytes;  // this warp's, in a stage
  // The 16 bytes whose address this lane gives to ldmatrix.
  const uint32_t codes_at =
      SharedAddress(ring) + block_at + 16 * PlaceOfLane(lane % 8 * 4 + lane / 8);
  float acc[kM / 2];
  // mma steps expanded at a time, while the products of as many others run. With 128 rows and few
  // registers there is no room for a second batch (ptxas would wait for each product), nor, without
  // zero points, for more than two steps.
  constexpr int kBuffers = Size::kBuffers;
  constexpr int kBatch = kM == 128 && Size::kRegisters < 128 && !kZeros ? 2 : 4;
  constexpr int kBatches = 8 / kBatch;
  uint32_t operand[kBuffers][kBatch][4];
  WideRing<Size::kXStages> at_x(x_barriers);
  WideRing<Size::kStages> at(weight_barriers);
  bool running = false;  // whether products of an earlier step may be
  // Gives back the stage of x before the present one.
  const auto give_back = [&] {
    const int stage = at_x.stage == 0 ? Size::kXStages - 1 : at_x.stage - 1;
    if (lane == 0) BarrierArrive(at_x.empty + 8 * stage);
  };
  for (int i = first_item; i < items; i += blocks) {
    const WideItem item(a, i);
#pragma unroll
    for (int j = 0; j < kM / 2; ++j) acc[j] = 0.0f;
#pragma unroll 1
    for (int step = item.begin; step < item.end; ++step) {
      BarrierWait(at.Full(), at.phase);
      const uint32_t codes = codes_at + at.stage * Size::StageBytes(kBlockBytes);
      const uint8_t* block = ring + at.stage * Size::StageBytes(kBlockBytes) + block_at;
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
#pragma unroll
      for (int batch = 0; batch < kBatches; ++batch) {
        if (batch * kBatch % 4 == 0) LoadMatrices(codes + batch * kBatch / 4 * 512, words);
        auto& a_operand = operand[batch % kBuffers];
        if (batch == 0) BarrierWait(at_x.Full(), at_x.phase);
        WgmmaWait<kBuffers - 1>();
        if (batch == kBuffers - 1 && running) give_back();  // the products of the step before
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {  // 16 inputs each
          const int mma = batch * kBatch + t;
          const int g = mma * kGroups / 8;
          const uint32_t* w = &words[mma % 2 * 2];
          const int byte = mma % 4 / 2 * 8;
          CodePairs<T> pairs;
          pairs.SetZeros(zeros[g] & 0xff, zeros[g] >> 8);
          pairs.Expand(w[0] >> byte, w[1] >> byte, a_operand[t]);
          CodePairs<T>::Scale(scales[g], a_operand[t]);
        }
        const uint64_t b = SwizzledRows(SharedAddress(x_ring) + at_x.stage * Size::kXBytes);
        WgmmaFence();
#pragma unroll
        for (int t = 0; t < kBatch; ++t) {
          const int mma = batch * kBatch + t;
          Wgmma<T, kM>(acc, a_operand[t], b + mma / 4 * (kM * 128 / 16) + mma % 4 * 2);
        }
        WgmmaCommit();
      }
      running = true;
      if (lane == 0) BarrierArrive(at.Empty());
      at.Advance();
      at_x.Advance();
    }
    WgmmaWait<0>();
    if (a.parts > 1) {
      ClusterSync();
      ShareSums<T, kM, kWarpgroups>(a, item, acc, x_ring, arrived);
      return;
    }
    give_back();
    running = false;
    StoreTile<T, kM>(a, item.m_tile * kM + 2 * q,
                     item.n_tile * 64 * kWarpgroups + (group * 4 + warp) * kTileN + 2 * r, acc);
  }
#endif
}

}  // namespace awq::cuda
