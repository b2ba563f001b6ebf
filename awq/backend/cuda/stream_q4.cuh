// The W4 linear for few rows: weights streamed once from memory through tensor cores.
#pragma once

#include "awq/backend/cuda/codes_q4.cuh"
#include "awq/backend/cuda/layout.h"
#include "awq/backend/cuda/stream_q4.h"

namespace awq::cuda {

// One warp's own pipeline of weight stages; a stage is `chunk` blocks along K of each of MT row
// tiles. Nobody else touches it, so a stage is refilled after a __syncwarp.
template <int MT, int WR, int WK>
class WeightRing {
 public:
  __device__ WeightRing(const StreamArgs& args, uint8_t* smem, int warp, int first_tile,
                        int first_block, int num_blocks)
      : a_(args),
        ring_(SharedAddress(smem) + args.ring_offset + warp * args.stages * args.stage_bytes),
        bars_(SharedAddress(smem) + 8 * warp * args.stages),
        warp_row_(warp % WR),
        warp_k_(warp / WR),
        first_block_(first_block),
        num_blocks_(num_blocks),
        tile_(warp_k_ * args.chunk < num_blocks ? first_tile : args.tiles),
        at_(warp_k_ * args.chunk),
        policy_(EvictFirstPolicy()) {}

  __device__ void Init(int lane) const {
    if (AWQ_SM90 && lane < a_.stages) BarrierInit(bars_ + 8 * lane, 1);
  }
  // Starts filling the stage with the warp's next chunk, if there is one.
  __device__ void Fetch(int slot, int lane) {
    if (tile_ < a_.tiles) {
      const int bytes = min(a_.chunk, num_blocks_ - at_) * a_.block_bytes;
      const uint32_t to = ring_ + slot * a_.stage_bytes;
#if AWQ_SM90
      if (ElectOne()) {
        BarrierExpect(bars_ + 8 * slot, MT * bytes);
#pragma unroll
        for (int i = 0; i < MT; ++i) {
          BulkCopyStream(to + i * a_.chunk * a_.block_bytes, From(i), bytes, bars_ + 8 * slot,
                         policy_);
        }
      }
#else
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        const uint8_t* from = From(i);
        for (int b = 16 * lane; b < bytes; b += 512) {
          AsyncCopy16(to + i * a_.chunk * a_.block_bytes + b, from + b);
        }
      }
#endif
      at_ += WK * a_.chunk;
      if (at_ >= num_blocks_) {
        at_ = warp_k_ * a_.chunk;
        tile_ += a_.tile_step;
      }
    }
#if !AWQ_SM90
    AsyncCommit();
#endif
  }
  // Waits for the oldest stage; `lap` counts the turns of the ring.
  __device__ void Wait(int slot, uint32_t lap) const {
#if AWQ_SM90
    BarrierWait(bars_ + 8 * slot, lap & 1);
#else
    AsyncWait<kAsyncStages - 1>();
    __syncwarp();
#endif
  }

 private:
  __device__ const uint8_t* From(int i) const {
    // Past the end the last row tile is read again and its results are dropped.
    const int row_tile = min((tile_ * WR + warp_row_) * MT + i, a_.row_tiles - 1);
    return a_.blocks +
           (int64_t{row_tile} * a_.blocks_per_row + first_block_ + at_) * a_.block_bytes;
  }

  const StreamArgs& a_;
  uint32_t ring_, bars_;
  int warp_row_, warp_k_;
  int first_block_, num_blocks_;  // this block's share of K
  int tile_, at_;                 // the next chunk to fetch
  uint64_t policy_;
};

// total += scale · (codes - zeros) · x over one block of MT row tiles x 128 inputs. `block` and `x`
// are this lane's: x points at its row and its first run of inputs, further tiles of rows are
// x_step apart.
template <typename T, int NT, int MT, int kQuarters>
__device__ inline void MultiplyBlock(const StreamArgs& a, const uint8_t* block, int tile_bytes,
                                     const uint8_t* x, int x_step, int lane,
                                     float (&total)[MT][NT][4]) {
  constexpr bool kRaw = kRawCodes<NT, MT>;
  const uint8_t* meta = block + kCodeBytes + lane / 4 * 4;
  float sum[MT][NT][4];
  float x_sum[NT][4];
  uint32_t c0[MT], c1[MT];
  uint32_t code[MT][4];
#pragma unroll
  for (int quarter = 0; quarter < 4; ++quarter) {
    const int group = quarter / kQuarters;
    if (quarter % kQuarters == 0) {
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        uint32_t z = 0x0808;
        if (a.has_zeros) {
          z = *reinterpret_cast<const uint16_t*>(block + i * tile_bytes + kCodeBytes + 32 +
                                                 group * a.meta_bytes + lane / 4 * 2);
        }
        c0[i] = z & 0xff, c1[i] = z >> 8;
        if constexpr (!kRaw) Codes<T>::Zeros(z & 0xff, z >> 8, c0[i], c1[i]);
#pragma unroll
        for (int t = 0; t < NT; ++t) {
#pragma unroll
          for (int e = 0; e < 4; ++e) sum[i][t][e] = x_sum[t][e] = 0.0f;
        }
      }
    }
    if (quarter % 2 == 0) {
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        const uint4 v =
            *reinterpret_cast<const uint4*>(block + i * tile_bytes + quarter / 2 * 512 + lane * 16);
        code[i][0] = v.x, code[i][1] = v.y, code[i][2] = v.z, code[i][3] = v.w;
      }
    }
    uint32_t b[NT][4];
#pragma unroll
    for (int t = 0; t < NT; ++t) {
      const uint4 v = *reinterpret_cast<const uint4*>(x + t * x_step + quarter * 64);
      b[t][0] = v.x, b[t][1] = v.y, b[t][2] = v.z, b[t][3] = v.w;
    }
#pragma unroll
    for (int i = 0; i < MT; ++i) {
#pragma unroll
      for (int s = 0; s < 2; ++s) {
        uint32_t frag[4];
        if constexpr (kRaw) {
          Codes<T>::ExpandRaw(code[i][quarter % 2 * 2 + s], frag);
        } else {
          Codes<T>::Expand(code[i][quarter % 2 * 2 + s], c0[i], c1[i], frag);
        }
#pragma unroll
        for (int t = 0; t < NT; ++t) Mma<T>(sum[i][t], frag, b[t][2 * s], b[t][2 * s + 1]);
      }
    }
    if constexpr (kRaw) {
      const uint32_t unit[4] = {Codes<T>::kUnit, Codes<T>::kUnit, Codes<T>::kUnit, Codes<T>::kUnit};
#pragma unroll
      for (int t = 0; t < NT; ++t) {
        Mma<T>(x_sum[t], unit, b[t][0], b[t][1]);
        Mma<T>(x_sum[t], unit, b[t][2], b[t][3]);
      }
    }
    if ((quarter + 1) % kQuarters == 0) {
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        const float2 scale = __half22float2(
            *reinterpret_cast<const __half2*>(meta + i * tile_bytes + group * a.meta_bytes));
        const float even = kRaw ? Codes<T>::EvenFactor(c0[i]) : 0.0f;
        const float odd = kRaw ? Codes<T>::OddFactor(c1[i]) : 0.0f;
#pragma unroll
        for (int t = 0; t < NT; ++t) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            float v = sum[i][t][e];
            if constexpr (kRaw) v -= (e < 2 ? even : odd) * x_sum[t][e % 2];
            total[i][t][e] += v * (e < 2 ? scale.x : scale.y);
          }
        }
      }
    }
  }
}

// c0 and c2 of the C fragment are (row 2q, output 2r) and (row 2q, 2r + 1): one lane's neighbours.
template <typename T>
__device__ inline void StoreOutputs(const StreamArgs& a, int m0, int m, int m_count, int n,
                                    float4 v, float even, float odd) {
  if (n >= a.n) return;
  const bool both = n + 1 < a.n;
  const float bias0 = a.bias != nullptr ? a.bias[n] : 0.0f;
  const float bias1 = a.bias != nullptr && both ? a.bias[n + 1] : 0.0f;
  const float values[2][2] = {{v.x * even + bias0, v.z * odd + bias1},
                              {v.y * even + bias0, v.w * odd + bias1}};
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

// The part of x that a block works on: panels of [rows of the M tile][panel·128 inputs], row stride
// x_row_bytes (64 mod 128: no bank conflicts). Two panels stay; more take turns in two buffers.
template <int kThreads>
class Panels {
 public:
  __device__ Panels(const StreamArgs& args, uint8_t* smem, int m0, int m_count, int first_block,
                    int num_blocks, int tiles)
      : a_(args),
        memory_(smem + args.x_offset),
        bar_(SharedAddress(smem) + args.bar_offset),
        m0_(m0),
        m_count_(m_count),
        first_block_(first_block),
        num_blocks_(num_blocks),
        count_((num_blocks + args.panel - 1) / args.panel),
        loads_(count_ <= 2 ? count_ : count_ * tiles) {}

  __device__ int count() const { return count_; }
  __device__ bool resident() const { return count_ <= 2; }
  __device__ const uint8_t* Buffer(int load) const { return memory_ + load % 2 * a_.x_bytes; }

  // Inputs past K meet codes that are 0, and must not be NaN.
  __device__ void Clear() {
    if (a_.k % kBlockK == 0) return;
    for (int i = 16 * threadIdx.x; i < a_.x_buffers * a_.x_bytes; i += 16 * kThreads) {
      *reinterpret_cast<uint4*>(memory_ + i) = uint4{0, 0, 0, 0};
    }
    BarrierInitFence();
  }
  __device__ void Start(int load) const {
    if (load >= loads_) return;
    const int first = first_block_ + load % count_ * a_.panel;
    const int end = min(first + a_.panel, first_block_ + num_blocks_);
    const int inputs = min(end * kBlockK, a_.k) - first * kBlockK;
    uint8_t* to = memory_ + load % 2 * a_.x_bytes;
    const uint8_t* from =
        static_cast<const uint8_t*>(a_.x) + (m0_ * a_.x_stride + int64_t{first} * kBlockK) * 2;
#if AWQ_SM90
    if (threadIdx.x < 32) {
      const uint32_t bar = bar_ + load % 2 * 8;
      if (threadIdx.x == 0) BarrierExpect(bar, inputs * 2 * m_count_);
      __syncwarp();
      for (int m = threadIdx.x; m < m_count_; m += 32) {
        BulkCopy(SharedAddress(to) + m * a_.x_row_bytes, from + m * a_.x_stride * 2, inputs * 2,
                 bar);
      }
    }
#else
    const int chunks = inputs / 8;
    for (int i = threadIdx.x; i < chunks * m_count_; i += kThreads) {
      const int m = i / chunks;
      *reinterpret_cast<uint4*>(to + m * a_.x_row_bytes + i % chunks * 16) =
          *reinterpret_cast<const uint4*>(from + m * a_.x_stride * 2 + i % chunks * 16);
    }
    __syncthreads();
#endif
  }
  __device__ void Wait(int load) const { BarrierWait(bar_ + load % 2 * 8, load / 2 & 1); }
  // Everyone is done with a panel that does not stay: its buffer takes the one after next.
  __device__ void Release(int load) const {
    __syncthreads();
    Start(load + 2);
  }

 private:
  const StreamArgs& a_;
  uint8_t* memory_;
  uint32_t bar_;
  int m0_, m_count_;
  int first_block_, num_blocks_;
  int count_, loads_;
};

// Partial sums of a tile meet in the block of the cluster that owns the row tile (row tile %
// cluster): every warp sends its own, counted on the owner's barrier, and the owner adds them in a
// fixed order. Two buffers take turns; before a warp sends to a buffer again it has seen the other
// one filled by all warps of the cluster, each of which had by then read the first. With one buffer
// the cluster meets.
template <typename T, int NT, int MT, int WR, int WK>
class Reduction {
 public:
  __device__ Reduction(const StreamArgs& args, uint8_t* smem, int rank)
      : a_(args),
        red_(reinterpret_cast<float4*>(smem + args.red_offset)),
        bar_(SharedAddress(smem) + args.bar_offset + 16),
        rank_(rank),
        owned_((WR * MT + args.cluster - 1) / args.cluster),
        mine_((WR * MT - rank + args.cluster - 1) / args.cluster) {}

  __device__ void Expect(int turn) const {
    if (threadIdx.x == 0) {
      BarrierExpect(bar_ + turn % a_.red_buffers * 8, WK * a_.cluster * mine_ * NT * 512);
    }
  }
  __device__ void Wait(int turn) const {
    BarrierWait(bar_ + turn % a_.red_buffers * 8, turn / a_.red_buffers & 1);
  }
  __device__ void Send(int turn, int warp, int lane, const float (&total)[MT][NT][4]) const {
#pragma unroll
    for (int i = 0; i < MT; ++i) {
      const int row_tile = warp % WR * MT + i;
      float4* at = Part(turn, rank_ * WK + warp / WR) + row_tile / a_.cluster * NT * 32 + lane;
#pragma unroll
      for (int t = 0; t < NT; ++t) {
#if AWQ_SM90
        ClusterStore(SharedAddress(at + t * 32), bar_ + turn % a_.red_buffers * 8,
                     row_tile % a_.cluster, total[i][t]);
#else
        at[t * 32] = float4{total[i][t][0], total[i][t][1], total[i][t][2], total[i][t][3]};
#endif
      }
    }
  }
  __device__ bool HasItems(int warp) const { return warp < mine_ * NT; }
  __device__ void Finish(int turn, int tile, int warp, int lane, int m0, int m_count) const {
    constexpr bool kRaw = kRawCodes<NT, MT>;
    const float even = a_.scale * (kRaw ? Codes<T>::kEven : 1.0f);
    const float odd = a_.scale * (kRaw ? Codes<T>::kOdd : 1.0f);
    for (int item = warp; item < mine_ * NT; item += WR * WK) {
      float4 v = Part(turn, 0)[item * 32 + lane];
      for (int c = 1; c < WK * a_.cluster; ++c) {
        const float4 w = Part(turn, c)[item * 32 + lane];
        v.x += w.x, v.y += w.y, v.z += w.z, v.w += w.w;
      }
      const int row_tile = tile * WR * MT + item / NT * a_.cluster + rank_;
      StoreOutputs<T>(a_, m0, item % NT * 8 + lane % 4 * 2, m_count,
                      row_tile * kTileN + lane / 4 * 2, v, even, odd);
    }
  }

 private:
  __device__ float4* Part(int turn, int contributor) const {
    return red_ + (turn % a_.red_buffers * WK * a_.cluster + contributor) * owned_ * NT * 32;
  }

  const StreamArgs& a_;
  float4* red_;
  uint32_t bar_;
  int rank_;
  int owned_, mine_;  // row tiles of a tile a block owns: room for, and this one
};

// y[M, N] = x[M, K] · Wᵀ + bias       x, y f16 or bf16 (y also f32); W 4-bit in layout.h; f32
// accumulate
//
// grid    (C · clusters, M tiles of 8·NT)   cluster of C blocks: block c takes the c-th part of K
// block   WR x WK warps: warp (wr, wk) holds MT row tiles of 16 outputs, every WK-th chunk of K
// tile    WR·MT·16 outputs; a cluster walks tiles cluster, cluster + clusters, …
// smem    barriers | partial sums | x panels | weight rings of all warps
// lane    l = 4r + q: outputs 2r, 2r + 1 (A fragment rows r, r + 8), rows 2q, 2q + 1 of x (columns
// of C) steps   weights fly into each warp's ring by bulk copies (sm_90) or cp.async, as deep as
// memory allows,
//         before the previous kernel has ended; codes become fragments by masks (codes_q4.cuh);
//         mma; a group's sum times its scale goes to `total` in f32: codes, zeros, scales lose
//         nothing; partial sums meet in shared memory: no workspace, no second launch, a fixed
//         order of summation
// bound   HBM: N·K/2 · (1 + (2 or 3)·16·G/1024) bytes for small M; instructions issued (~100 a
// block of
//         16 x 128 at M <= 8) next; tensor cores (mma.sync) from M ~ 48
// checked by awq_cuda_bench verify, against float64
template <typename T, int NT, int MT, int WR, int WK, int kQuarters>
__global__ void __launch_bounds__(32 * WR * WK, kBlocksPerSm<NT, WR * WK>)
    StreamQ4(const __grid_constant__ StreamArgs a) {
  extern __shared__ __align__(128) uint8_t smem[];
  const int lane = threadIdx.x % 32;
  const int warp = __shfl_sync(~0u, threadIdx.x / 32, 0);
  const int rank = a.cluster > 1 ? static_cast<int>(ClusterRank()) : 0;
  const int m0 = blockIdx.y * 8 * NT;
  const int m_count = min(a.m - m0, 8 * NT);
  const int first_tile = static_cast<int>(blockIdx.x) / a.cluster;
  const int my_tiles = (a.tiles - first_tile + a.tile_step - 1) / a.tile_step;
  const int first_block = rank * a.blocks_per_row / a.cluster;
  const int num_blocks = (rank + 1) * a.blocks_per_row / a.cluster - first_block;

  AllowNextKernel();
  WeightRing<MT, WR, WK> ring(a, smem, warp, first_tile, first_block, num_blocks);
  Panels<32 * WR * WK> panels(a, smem, m0, m_count, first_block, num_blocks, my_tiles);
  const Reduction<T, NT, MT, WR, WK> reduction(a, smem, rank);
  ring.Init(lane);
  if (AWQ_SM90 && threadIdx.x < 4) {
    BarrierInit(SharedAddress(smem) + a.bar_offset + 8 * threadIdx.x, 1);
  }
  BarrierInitFence();
  __syncwarp();
  // Weights do not depend on the previous kernel.
  for (int s = 0; s < a.stages; ++s) ring.Fetch(s, lane);
  panels.Clear();
  __syncthreads();
  if (a.cluster > 1) ClusterArrive();  // met before the first Send
  for (int turn = 0; turn < min(a.red_buffers, my_tiles); ++turn) reduction.Expect(turn);
  WaitForPreviousKernel();
  panels.Start(0);
  panels.Start(1);

  constexpr int kFixed = kFixedPanel<NT>;
  const int row_bytes = kFixed > 0 ? kFixed * kBlockK * 2 + 64 : a.x_row_bytes;
  const int x_lane = min(lane / 4, m_count - 1) * row_bytes + lane % 4 * 16;
  const int x_step = 8 * row_bytes;  // rows past m_count are garbage, and so are only their columns
  int slot = 0;
  uint32_t lap = 0;
  int load = 0;
  for (int turn = 0; turn < my_tiles; ++turn) {
    float total[MT][NT][4] = {};
    for (int p = 0; p < panels.count(); ++p, ++load) {
      if (panels.resident()) load = p;
      panels.Wait(load);
      const int begin = p * a.panel;
      const int end = min(begin + a.panel, num_blocks);
      const uint8_t* x_panel = panels.Buffer(load) + x_lane;
      for (int at = begin + warp / WR * a.chunk; at < end; at += WK * a.chunk) {
        ring.Wait(slot, lap);
        const uint8_t* block = smem + a.ring_offset + (warp * a.stages + slot) * a.stage_bytes;
        const uint8_t* x = x_panel + (at - begin) * (kBlockK * 2);
        const int blocks = min(a.chunk, num_blocks - at);
#pragma unroll 1
        for (int u = 0; u < blocks; ++u) {
          MultiplyBlock<T, NT, MT, kQuarters>(a, block, a.chunk * a.block_bytes, x, x_step, lane,
                                              total);
          block += a.block_bytes;
          x += kBlockK * 2;
        }
        __syncwarp();
        ring.Fetch(slot, lane);
        if (++slot == a.stages) slot = 0, ++lap;
      }
      if (!panels.resident()) panels.Release(load);
    }

    if (turn == 0 && a.cluster > 1) ClusterWait();
    if (turn > 0 && a.red_buffers == 2) {
      reduction.Wait(turn - 1);
      if (turn + 1 < my_tiles) reduction.Expect(turn + 1);
    }
    reduction.Send(turn, warp, lane, total);
#if !AWQ_SM90
    __syncthreads();
#endif
    if (reduction.HasItems(warp)) {
      reduction.Wait(turn);
      reduction.Finish(turn, first_tile + turn * a.tile_step, warp, lane, m0, m_count);
    }
    if ((a.red_buffers == 1 || !AWQ_SM90) && turn + 1 < my_tiles) {
      __syncthreads();
      if (a.cluster > 1) {
        ClusterArrive();
        ClusterWait();
      }
      reduction.Expect(turn + 1);
    }
  }
}

}  // namespace awq::cuda
