// The W4 linear for few rows: weights streamed once from memory through tensor cores.
#pragma once

#include "awq/backend/cuda/layout.h"
#include "awq/backend/cuda/ptx.cuh"
#include "awq/backend/cuda/stream_q4.h"

namespace awq::cuda {

// Codes to exact integers (code - zero) in the activation type, by the exponent trick: the bits of 2^10
// (f16) or 2^7 (bf16) with a code in the low mantissa are 2^10 + code; one fma takes 2^10 + zero off.
template <typename T>
struct Codes;

template <>
struct Codes<__half> {
  // Of outputs 2r and 2r + 1; the second's codes stand one nibble higher: 16·code, hence the 1/16.
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

// c0 and c2 of the C fragment are (row 2q, output 2r) and (row 2q, 2r + 1): one store for both.
template <typename T>
__device__ inline void StoreOutputs(const StreamArgs& a, int m0, int m, int m_count, int n, float4 v) {
  if (n >= a.n) return;
  const bool both = n + 1 < a.n;
  const float bias0 = a.bias != nullptr ? a.bias[n] : 0.0f;
  const float bias1 = a.bias != nullptr && both ? a.bias[n + 1] : 0.0f;
  const float values[2][2] = {{v.x * a.scale + bias0, v.z * a.scale + bias1},
                              {v.y * a.scale + bias0, v.w * a.scale + bias1}};
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    if (m + i >= m_count) return;
    const int64_t at = (m0 + m + i) * a.y_stride + n;
    if (a.y_f32) {
      float* y = static_cast<float*>(a.y) + at;
      y[0] = values[i][0];
      if (both) y[1] = values[i][1];
    } else {
      T* y = static_cast<T*>(a.y) + at;
      y[0] = T(values[i][0]);
      if (both) y[1] = T(values[i][1]);
    }
  }
}

// One warp's own pipeline of weight stages; a stage is the same 128 inputs of MT row tiles. Nobody else
// touches it, so a stage is refilled after a __syncwarp.
template <int MT>
class WeightRing {
 public:
  __device__ WeightRing(const StreamArgs& args, uint8_t* memory, uint64_t* barriers)
      : ring_(SharedAddress(memory)),
        bars_(SharedAddress(barriers)),
        block_bytes_(args.block_bytes),
        stages_(args.stages),
        policy_(EvictFirstPolicy()) {}

  __device__ void Init(int lane) {
    if (AWQ_SM90 && lane < stages_) BarrierInit(bars_ + 8 * lane, 1);
  }
  // Starts filling stage `slot`; `from[i]` null: nothing left to fetch.
  __device__ void Fetch(int slot, const uint8_t* const (&from)[MT], int lane) {
    const uint32_t to = ring_ + slot * MT * block_bytes_;
#if AWQ_SM90
    if (lane == 0 && from[0] != nullptr) {
      const uint32_t bar = bars_ + 8 * slot;
      BarrierExpect(bar, MT * block_bytes_);
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        BulkCopyStream(to + i * block_bytes_, from[i], block_bytes_, bar, policy_);
      }
    }
#else
    if (from[0] != nullptr) {
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        for (int b = 16 * lane; b < block_bytes_; b += 512) {
          AsyncCopy16(to + i * block_bytes_ + b, from[i] + b);
        }
      }
    }
    AsyncCommit();
#endif
  }
  // Waits for the oldest stage; `lap` counts the turns of the ring.
  __device__ void Wait(int slot, uint32_t lap) {
#if AWQ_SM90
    BarrierWait(bars_ + 8 * slot, lap & 1);
#else
    AsyncWait<kAsyncStages - 1>();
    __syncwarp();
#endif
  }

 private:
  uint32_t ring_;
  uint32_t bars_;
  int block_bytes_;
  int stages_;
  uint64_t policy_;
};

// The blocks a warp works through: for each of the block's tiles, inputs k_first, k_first + WK, … < k_end.
template <int MT, int WR, int WK>
struct BlockCursor {
  int tile, k;

  __device__ void Next(const StreamArgs& a, int k_first, int k_end) {
    k += WK;
    if (k >= k_end) {
      k = k_first;
      tile += a.tile_step;
    }
  }
  __device__ void Addresses(const StreamArgs& a, int warp_row, const uint8_t* (&from)[MT]) const {
#pragma unroll
    for (int i = 0; i < MT; ++i) {
      // Past the end the last row tile is read again and its results are dropped.
      const int row_tile = min((tile * WR + warp_row) * MT + i, a.row_tiles - 1);
      from[i] = tile < a.tiles
                    ? a.blocks + (int64_t{row_tile} * a.blocks_per_row + k) * a.block_bytes
                    : nullptr;
    }
  }
};

// y[M, N] = x[M, K] · Wᵀ + bias       x, y f16 or bf16 (y also f32); W 4-bit in layout.h; f32 accumulate
//
// grid    (C · clusters, M tiles of 8·NT)   cluster of C blocks: block c takes the c-th part of K
// block   WR x WK warps: warp (wr, wk) holds MT row tiles of 16 outputs, every WK-th 128 inputs
// tile    WR·MT·16 outputs; a cluster walks tiles cluster, cluster + clusters, …
// smem    barriers | partial sums | x panels [2][M tile][panel·128 + 8] | weight rings of all warps
// lane    l = 4r + q: outputs 2r, 2r + 1 (A fragment rows r, r + 8), rows 2q, 2q + 1 of x (columns of C)
// steps   weights fly into each warp's ring by bulk copies (sm_90) or cp.async, as deep as memory allows;
//         codes become exact integers; mma; a group's sum times its scale goes to `total` in f32, so
//         codes, zeros and scales lose nothing; partial sums meet in the shared memory of the block
//         that owns the row tile, through one (cluster) barrier: no workspace, no second launch, and
//         the order of summation is fixed
// bound   HBM: N·K/2 · (1 + (2 or 3)·16·G/1024) bytes for small M; tensor cores (mma.sync) from M ~ 48
// checked by awq_cuda_bench --verify against float64
template <typename T, int NT, int MT, int WR, int WK>
__global__ void __launch_bounds__(32 * WR * WK, 1) StreamQ4(const __grid_constant__ StreamArgs a) {
  constexpr int kWarps = WR * WK;
  constexpr int kChains = NT * MT <= 2 ? 2 : 1;  // independent sums, to hide the latency of mma
  extern __shared__ __align__(128) uint8_t smem[];
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int warp_row = warp % WR;
  const int warp_k = warp / WR;
  const int rank = a.cluster > 1 ? static_cast<int>(ClusterRank()) : 0;
  const int m0 = blockIdx.y * 8 * NT;
  const int m_count = min(a.m - m0, 8 * NT);

  AllowNextKernel();

  // ---- this block's share of K, in blocks of 128
  const int k_begin = rank * a.blocks_per_row / a.cluster;
  const int k_end = (rank + 1) * a.blocks_per_row / a.cluster;
  const int k_first = k_begin + warp_k;

  // ---- shared memory
  uint64_t* bars = reinterpret_cast<uint64_t*>(smem);
  float4* red = reinterpret_cast<float4*>(smem + a.red_offset);
  uint8_t* x_smem = smem + a.x_offset;
  const uint32_t x_bar = SharedAddress(bars + kWarps * a.stages);
  WeightRing<MT> ring(a, smem + a.ring_offset + warp * a.stages * MT * a.block_bytes,
                      bars + warp * a.stages);
  ring.Init(lane);
  if (AWQ_SM90 && threadIdx.x == 0) {
    BarrierInit(x_bar, 1);
    BarrierInit(x_bar + 8, 1);
  }
  BarrierInitFence();
  __syncwarp();

  // ---- start the weights: they do not depend on the previous kernel
  const int first_tile = static_cast<int>(blockIdx.x) / a.cluster;
  const int my_tiles = (a.tiles - first_tile + a.tile_step - 1) / a.tile_step;
  BlockCursor<MT, WR, WK> work{first_tile, k_first};
  BlockCursor<MT, WR, WK> fetch = work;
  if (k_first >= k_end) fetch.tile = a.tiles;
  for (int s = 0; s < a.stages; ++s) {
    const uint8_t* from[MT];
    fetch.Addresses(a, warp_row, from);
    ring.Fetch(s, from, lane);
    fetch.Next(a, k_first, k_end);
  }
  if (a.k % kBlockK != 0) {  // inputs past K meet codes that are 0, and must not be NaN
    for (int i = 16 * threadIdx.x; i < a.x_buffers * a.x_bytes; i += 16 * 32 * kWarps) {
      *reinterpret_cast<uint4*>(x_smem + i) = uint4{0, 0, 0, 0};
    }
    BarrierInitFence();
  }
  __syncthreads();
  if (a.cluster > 1) ClusterArrive();  // met before the first store into another block
  WaitForPreviousKernel();

  // ---- x panels: [k_begin + p·panel, …) of every row of the tile
  const int panels = (k_end - k_begin + a.panel - 1) / a.panel;
  const int loads = panels == 1 ? 1 : panels * my_tiles;
  auto load_panel = [&](int load) {
    const int first = k_begin + load % panels * a.panel;
    const int inputs = min(min(first + a.panel, k_end) * kBlockK, a.k) - first * kBlockK;
    uint8_t* to = x_smem + load % 2 * a.x_bytes;
    const uint8_t* from =
        static_cast<const uint8_t*>(a.x) + (m0 * a.x_stride + int64_t{first} * kBlockK) * 2;
#if AWQ_SM90
    if (warp == 0) {
      const uint32_t bar = x_bar + load % 2 * 8;
      if (lane == 0) BarrierExpect(bar, inputs * 2 * m_count);
      __syncwarp();
      for (int m = lane; m < m_count; m += 32) {
        BulkCopy(SharedAddress(to) + m * a.x_row_bytes, from + m * a.x_stride * 2, inputs * 2, bar);
      }
    }
#else
    const int chunks = inputs / 8;
    for (int i = threadIdx.x; i < chunks * m_count; i += 32 * kWarps) {
      const int m = i / chunks;
      *reinterpret_cast<uint4*>(to + m * a.x_row_bytes + i % chunks * 16) =
          *reinterpret_cast<const uint4*>(from + m * a.x_stride * 2 + i % chunks * 16);
    }
#endif
  };
  for (int load = 0; load < 2 && load < loads; ++load) load_panel(load);
#if !AWQ_SM90
  __syncthreads();
#endif

  // ---- tiles
  const int owned = (WR * MT + a.cluster - 1) / a.cluster;  // row tiles this block finishes
  const int contributors = WK * a.cluster;
  int slot = 0;
  uint32_t lap = 0;
  int panel_turn = 0;
  const int row_bytes = a.x_row_bytes;
  for (int turn = 0; turn < my_tiles; ++turn) {
    float total[MT][NT][4] = {};
    for (int p = 0; p < panels; ++p) {
      const int load = panels == 1 ? 0 : panel_turn;
      if (panels > 1 || turn == 0) BarrierWait(x_bar + load % 2 * 8, load / 2 & 1);
      const int panel_begin = k_begin + p * a.panel;
      const int panel_end = min(panel_begin + a.panel, k_end);
      const uint8_t* x_panel = x_smem + load % 2 * a.x_bytes + lane % 4 * 32;
      while (work.k >= panel_begin && work.k < panel_end) {
        ring.Wait(slot, lap);
        const uint8_t* stage =
            smem + a.ring_offset + (warp * a.stages + slot) * MT * a.block_bytes;
        const uint8_t* x_block = x_panel + (work.k - panel_begin) * (kBlockK * 2);
        float sum[kChains][MT][NT][4] = {};
        uint32_t c0[MT], c1[MT];
        const uint8_t* meta = stage + kCodeBytes + lane / 4 * 4;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          uint32_t code[MT][4];
#pragma unroll
          for (int i = 0; i < MT; ++i) {
            const uint4 v = *reinterpret_cast<const uint4*>(stage + i * a.block_bytes + half * 512 +
                                                            lane * 16);
            code[i][0] = v.x, code[i][1] = v.y, code[i][2] = v.z, code[i][3] = v.w;
          }
#pragma unroll
          for (int pair = 0; pair < 2; ++pair) {
            uint32_t b[NT][4];
#pragma unroll
            for (int t = 0; t < NT; ++t) {
              const int row = min(8 * t + lane / 4, m_count - 1);
              const uint4 v = *reinterpret_cast<const uint4*>(x_block + row * row_bytes + half * 128 +
                                                              pair * 16);
              b[t][0] = v.x, b[t][1] = v.y, b[t][2] = v.z, b[t][3] = v.w;
            }
            const int quarter = 2 * half + pair;
            if ((quarter & (a.quarters - 1)) == 0) {  // a group starts
#pragma unroll
              for (int i = 0; i < MT; ++i) {
                uint32_t z = 0x0808;
                if (a.has_zeros) {
                  z = *reinterpret_cast<const uint16_t*>(stage + i * a.block_bytes + kCodeBytes +
                                                         (quarter >> a.quarter_shift) * a.meta_bytes + 32 +
                                                         lane / 4 * 2);
                }
                Codes<T>::Zeros(z & 0xff, z >> 8, c0[i], c1[i]);
              }
            }
#pragma unroll
            for (int s = 0; s < 2; ++s) {
#pragma unroll
              for (int i = 0; i < MT; ++i) {
                uint32_t frag[4];
                Codes<T>::Expand(code[i][2 * pair + s], c0[i], c1[i], frag);
#pragma unroll
                for (int t = 0; t < NT; ++t) {
                  Mma<T>(sum[s % kChains][i][t], frag, b[t][2 * s], b[t][2 * s + 1]);
                }
              }
            }
            if (((quarter + 1) & (a.quarters - 1)) == 0) {  // a group ends
#pragma unroll
              for (int i = 0; i < MT; ++i) {
                const float2 scale = __half22float2(*reinterpret_cast<const __half2*>(
                    meta + i * a.block_bytes + (quarter >> a.quarter_shift) * a.meta_bytes));
#pragma unroll
                for (int t = 0; t < NT; ++t) {
#pragma unroll
                  for (int e = 0; e < 4; ++e) {
                    const float v = sum[0][i][t][e] + (kChains == 2 ? sum[1 % kChains][i][t][e] : 0);
                    total[i][t][e] += v * (e < 2 ? scale.x : scale.y);
                    sum[0][i][t][e] = sum[1 % kChains][i][t][e] = 0.0f;
                  }
                }
              }
            }
          }
        }
        __syncwarp();
        const uint8_t* from[MT];
        fetch.Addresses(a, warp_row, from);
        ring.Fetch(slot, from, lane);
        fetch.Next(a, k_first, k_end);
        if (++slot == a.stages) slot = 0, ++lap;
        const int tile_before = work.tile;
        work.Next(a, k_first, k_end);
        if (work.tile != tile_before) break;
      }
      if (panels > 1) {
        __syncthreads();  // everyone is done with this panel
        ++panel_turn;
        if (panel_turn + 1 < loads) {
          load_panel(panel_turn + 1);
#if !AWQ_SM90
          __syncthreads();
#endif
        }
      }
    }

    // ---- partial sums to the block that owns the row tile
    if (turn == 0 && a.cluster > 1) ClusterWait();
    float4* part = red + turn % a.red_buffers * contributors * owned * NT * 32;
    const int contributor = rank * WK + warp_k;
#pragma unroll
    for (int i = 0; i < MT; ++i) {
      const int row_tile = warp_row * MT + i;
      const int owner = row_tile % a.cluster;
      float4* at = part + ((contributor * owned + row_tile / a.cluster) * NT) * 32 + lane;
#pragma unroll
      for (int t = 0; t < NT; ++t) {
        if (a.cluster > 1) {
          ClusterStore(SharedAddress(at + t * 32), owner, total[i][t]);
        } else {
          at[t * 32] = float4{total[i][t][0], total[i][t][1], total[i][t][2], total[i][t][3]};
        }
      }
    }
    if (a.cluster > 1) {
      ClusterArrive();
      ClusterWait();
    } else {
      __syncthreads();
    }

    // ---- sum, scale, bias, store
    const int tile = static_cast<int>(blockIdx.x) / a.cluster + turn * a.tile_step;
    for (int item = warp; item < owned * NT; item += kWarps) {
      const int row_tile = tile * WR * MT + item / NT * a.cluster + rank;
      float4 v = part[item * 32 + lane];
      for (int c = 1; c < contributors; ++c) {
        const float4 w = part[(c * owned * NT + item) * 32 + lane];
        v.x += w.x, v.y += w.y, v.z += w.z, v.w += w.w;
      }
      const int n = row_tile * kTileN + lane / 4 * 2;
      const int m = item % NT * 8 + lane % 4 * 2;
      if (item / NT * a.cluster + rank >= WR * MT) break;
      StoreOutputs<T>(a, m0, m, m_count, n, v);
    }
    if (a.red_buffers == 1) {
      if (a.cluster > 1) {
        ClusterArrive();
        ClusterWait();
      } else {
        __syncthreads();
      }
    }
  }
}

}  // namespace awq::cuda
