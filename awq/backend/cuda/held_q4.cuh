// The W4 linear for up to 16 rows of x on sm_90: weights stream through shared memory, x stays in
// registers.
//
// y[M, N] = x[M, K] · dequant(W)[N, K]     M <= 16; groups of 128 inputs or more
// cluster  its thread blocks share the inputs, and go through row tiles of 16 outputs
// block    its warps share its inputs: each keeps the x of one or two blocks of 128 as operands of
//          the tensor cores for all row tiles. What a thread block needs of a row tile is one piece
//          of memory, which the copy engine brings into a ring of slots, from before x is there;
//          x comes the same way, into the last slots
// sums     of the warps meet in shared memory, where warps of their own add them up; those of a
//          cluster in that of one block for each row tile, in turn
//
// Codes are operands as they lie (held_codes.cuh); scale and zero point enter in the f32 sums of a
// block, the latter by the sums of x.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/held_adder.cuh"
#include "awq/backend/cuda/held_codes.cuh"

namespace awq::cuda {

// The inputs that a warp keeps, in runs of 16 bytes (layout.h), and their sums.
template <typename T, HeldTile kTile>
struct HeldInputs {
  uint4 x[kTile.held][kTile.cols][4];
  float sum[kTile.held][kTile.cols][2];

  template <int kBlockBytes>
  __device__ void Load(const HeldBlock<kTile, kBlockBytes>& b, int warp, int lane) {
    const int row_bytes = b.RowBytes();
#pragma unroll
    for (int h = 0; h < kTile.held; ++h) {
      const int column = 2 * ((warp + kTile.warps * h) * kBlockK + 8 * (lane % 4));  // bytes
#pragma unroll
      for (int c = 0; c < kTile.cols; ++c) {
        const uint8_t* row = b.shared + b.PlaceOfRow(min(8 * c + lane / 4, b.a.m - 1));
#pragma unroll
        for (int run = 0; run < 4; ++run) {
          x[h][c][run] = make_uint4(0, 0, 0, 0);
          if (column + 64 * run < row_bytes) {
            x[h][c][run] = *reinterpret_cast<const uint4*>(row + column + 64 * run);
          }
        }
      }
    }
  }
  __device__ void Add() {
    constexpr uint32_t kOnes = RawCodes<T>::kOnes;
    constexpr uint32_t ones[4] = {kOnes, kOnes, kOnes, kOnes};
#pragma unroll
    for (int h = 0; h < kTile.held; ++h) {
#pragma unroll
      for (int c = 0; c < kTile.cols; ++c) {
        float sums[4][4] = {};
#pragma unroll
        for (int run = 0; run < 4; ++run) {
          Mma<T>(sums[run], ones, x[h][c][run].x, x[h][c][run].y);
          Mma<T>(sums[run], ones, x[h][c][run].z, x[h][c][run].w);
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          sum[h][c][i] =
              (sums[0][i] + sums[1][i] + (sums[2][i] + sums[3][i])) * (1.0f / RawCodes<T>::kUnit);
        }
      }
    }
  }
};

// Of: has the arrangement, kTile (the host's compiler does not know one as an argument).
template <typename T, bool kZeros, typename Of>
__global__ void __launch_bounds__(Of::kTile.Threads(), Of::kTile.per_sm)
    HeldQ4(const __grid_constant__ HeldArgs a) {
#if AWQ_SM90
  constexpr HeldTile kTile = Of::kTile;
  using Raw = RawCodes<T>;
  constexpr int kBlockBytes = kCodeBytes + 2 * kTileN + (kZeros ? kTileN : 0);
  extern __shared__ __align__(128) uint8_t shared[];
  const HeldBlock<kTile, kBlockBytes> b(a, shared);
  const int warp = __shfl_sync(~0u, static_cast<int>(threadIdx.x) / 32, 0);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const HeldPlan& plan = a.plan;

  AllowNextKernel();
  b.Begin(warp - kTile.warps, lane);
  __syncthreads();
  if (plan.parts > 1) ClusterArrive();
  if (warp >= kTile.warps) {
    HeldAdder<T, kTile, kBlockBytes>(b, static_cast<int>(threadIdx.x) - 32 * kTile.warps).Run();
    return;
  }

  WaitForPreviousKernel();  // x is the previous kernel's
  for (int row = warp; row < a.m; row += kTile.warps) {
    const T* from = static_cast<const T*>(a.x) + row * a.x_stride + b.first_block * kBlockK;
    if (lane == 0) BulkCopy(b.ring + b.PlaceOfRow(row), from, b.RowBytes(), b.x_arrived);
  }
  __syncwarp();
  BarrierWait(b.x_arrived, 0);
  HeldInputs<T, kTile> inputs;
  inputs.Load(b, warp, lane);
  __syncwarp();
  if (lane == 0) BarrierArrive(b.x_taken);
  if (plan.parts > 1) ClusterWait();
  inputs.Add();

  const int r = lane / 4;
  const int q = lane % 4;
  // Where this lane's sums go: of row 8c + 2q; the next row is half a tile further on.
  uint32_t sums_at[kTile.cols];
#pragma unroll
  for (int c = 0; c < kTile.cols; ++c) {
    sums_at[c] =
        b.sums + warp * kTile.TileBytes() + 4 * HeldSumIndex(kTile.Rows(), 8 * c + 2 * q, 2 * r);
  }
  int slot = 0;
  uint32_t phase = 0;
  // This warp's inputs of row tiles i to i + kTiles - 1.
  const auto multiply = [&](auto tiles, int i) {
    constexpr int kTiles = decltype(tiles)::value;
    const uint8_t* from[kTiles];
#pragma unroll
    for (int u = 0; u < kTiles; ++u) {
      BarrierWait(b.full + 8 * slot, phase);
      from[u] = shared + slot * plan.slot_stride + warp * kBlockBytes;
      if (++slot == plan.slots) slot = 0, phase ^= 1;
    }
    float total[kTiles][kTile.cols][4] = {};
#pragma unroll
    for (int h = 0; h < kTile.held; ++h) {
      if (warp + kTile.warps * h >= b.num_blocks) break;
      uint4 codes[kTiles][2];
      __half2 scales[kTiles];
      uint32_t zeros[kTiles];
#pragma unroll
      for (int u = 0; u < kTiles; ++u) {
        const uint8_t* block = from[u] + kTile.warps * h * kBlockBytes;
        codes[u][0] = *reinterpret_cast<const uint4*>(block + 16 * PlaceOfLane(lane));
        codes[u][1] = *reinterpret_cast<const uint4*>(block + 512 + 16 * PlaceOfLane(lane));
        scales[u] = *reinterpret_cast<const __half2*>(block + kCodeBytes + 4 * r);
        zeros[u] =
            kZeros ? *reinterpret_cast<const uint16_t*>(block + kCodeBytes + 32 + 2 * r) : 0x0808u;
      }
      float sum[kTiles][kTile.cols][4] = {};
#pragma unroll
      for (int step = 0; step < 8; ++step) {  // of 16 inputs: half of a run
        const int run = step / 2;
        const bool first = step % 2 == 0;
#pragma unroll
        for (int u = 0; u < kTiles; ++u) {
          const uint4& w = codes[u][run / 2];
          uint32_t operand[4];
          Raw::Operand(first ? w.x : w.z, first ? w.y : w.w, 8 * (run % 2), operand);
#pragma unroll
          for (int c = 0; c < kTile.cols; ++c) {
            const uint4& x = inputs.x[h][c][run];
            Mma<T>(sum[u][c], operand, first ? x.x : x.z, first ? x.y : x.w);
          }
        }
      }
#pragma unroll
      for (int u = 0; u < kTiles; ++u) {
        const float2 scale = __half22float2(scales[u]);
        const float even = static_cast<float>((zeros[u] & 0xff) + Raw::kBias);
        const float odd = static_cast<float>((zeros[u] >> 8) + Raw::kBias) * Raw::kHigh;
        const float odd_scale = scale.y * (1.0f / Raw::kHigh);
#pragma unroll
        for (int c = 0; c < kTile.cols; ++c) {
          const float(&x)[2] = inputs.sum[h][c];
          total[u][c][0] += scale.x * (sum[u][c][0] - even * x[0]);
          total[u][c][1] += scale.x * (sum[u][c][1] - even * x[1]);
          total[u][c][2] += odd_scale * (sum[u][c][2] - odd * x[0]);
          total[u][c][3] += odd_scale * (sum[u][c][3] - odd * x[1]);
        }
      }
    }
#pragma unroll
    for (int u = 0; u < kTiles; ++u) {
      const int turn = (i + u) % 2;
      if (i > 1) BarrierWait(b.added + 8 * turn, i / 2 % 2 ^ 1);
#pragma unroll
      for (int c = 0; c < kTile.cols; ++c) {
        const uint32_t to = sums_at[c] + turn * kTile.warps * kTile.TileBytes();
        StoreSharedPair(to, total[u][c][0], total[u][c][2]);
        StoreSharedPair(to + kTile.TileBytes() / 2, total[u][c][1], total[u][c][3]);
      }
      __syncwarp();
      if (lane == 0) BarrierArrive(b.summed + 8 * turn);
    }
  };
  int i = 0;
  for (; i + kTile.at_once <= b.count; i += kTile.at_once) {
    multiply(std::integral_constant<int, kTile.at_once>(), i);
  }
  if (i < b.count) multiply(std::integral_constant<int, 1>(), i);
#endif
}

}  // namespace awq::cuda
