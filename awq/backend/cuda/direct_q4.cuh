// The W4 linear for few rows of x: weights go from memory straight to registers and tensor cores.
//
// A warp reads whole blocks of 16 outputs x 128 inputs (layout.h), two 16-byte loads a lane, kDepth
// blocks ahead; the warps of a thread block share the inputs of kTiles row tiles and add their sums
// at the end. There is no shared memory and no barrier before that: what bounds the kernel is the
// bytes in flight, and the instructions that turn codes into mma operands (about 1.2 a weight).
#pragma once

#include "awq/backend/cuda/codes.cuh"
#include "awq/backend/cuda/direct_q4.h"
#include "awq/backend/cuda/gate.cuh"

namespace awq::cuda {

// kGroups: groups in 128 inputs; kZeros: whether they have zero points, or 8; kCols: tiles of 8
// rows of x; kTiles: row tiles of 16 outputs.
template <typename T, int kGroups, bool kZeros, int kCols, int kTiles, int kWarps, int kDepth,
          int kBlocks>
__global__ void __launch_bounds__(32 * kWarps, kBlocks) DirectQ4(const DirectArgs a) {
  __shared__ float sums[kWarps][kTiles * kCols * 4][32];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int r = lane / 4;
  const int q = lane % 4;
  const int place = 16 * PlaceOfLane(lane);
  const int tile = static_cast<int>(blockIdx.x) * kTiles;
  const int first_row = static_cast<int>(blockIdx.y) * 8 * kCols;
  const int count = (a.blocks_per_row - warp + kWarps - 1) / kWarps;

  struct Stage {
    uint4 codes[kTiles][2];
    uint32_t scales[kTiles][kGroups];
    uint32_t zeros[kTiles][kGroups];
  } stages[kDepth];

  // Of the next block to load; r and lane are in it, so that a load is one instruction.
  constexpr int kMeta = 2 * kTileN + (kZeros ? kTileN : 0);
  constexpr int kBlockBytes = kCodeBytes + kGroups * kMeta;
  const uint8_t* next[kTiles];
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    const int row_tile = min(tile + t, a.row_tiles - 1);
    next[t] = a.blocks + (int64_t{row_tile} * a.blocks_per_row + warp) * kBlockBytes;
  }
  const auto load = [&](Stage& s) {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      s.codes[t][0] = LoadStream(next[t] + place);
      s.codes[t][1] = LoadStream(next[t] + 512 + place);
#pragma unroll
      for (int g = 0; g < kGroups; ++g) {
        const uint8_t* meta = next[t] + kCodeBytes + g * kMeta;
        s.scales[t][g] = LoadOnce<uint32_t>(meta + 4 * r);
        s.zeros[t][g] = kZeros ? LoadOnce<uint16_t>(meta + 32 + 2 * r) : 0x0808u;
      }
      next[t] += kWarps * kBlockBytes;
    }
  };

  AllowNextKernel();
#pragma unroll
  for (int d = 0; d < kDepth; ++d) {
    if (d < count) load(stages[d]);
  }
  WaitForPreviousKernel();  // x is the previous kernel's

  float total[kTiles][kCols][4] = {};
  // This lane's inputs of the next block, in each tile of 8 rows; rows past the last repeat it.
  const T* x[kCols];
#pragma unroll
  for (int c = 0; c < kCols; ++c) {
    const int row = min(first_row + 8 * c + r, a.m - 1);
    x[c] = static_cast<const T*>(a.x) + row * a.x_stride + warp * kBlockK + 8 * q;
  }
  int left = a.k - warp * kBlockK - 8 * q;  // inputs from there on
  const auto compute = [&](const Stage& s) {
    uint4 xs[kCols][4];
#pragma unroll
    for (int part = 0; part < 4; ++part) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        xs[c][part] = make_uint4(0, 0, 0, 0);
        if (32 * part < left) xs[c][part] = *reinterpret_cast<const uint4*>(x[c] + 32 * part);
      }
    }
#pragma unroll
    for (int c = 0; c < kCols; ++c) x[c] += kWarps * kBlockK;
    left -= kWarps * kBlockK;
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      float sum[kTiles][kCols][4] = {};
      CodePairs<T> pairs[kTiles];
#pragma unroll
      for (int t = 0; t < kTiles; ++t) pairs[t].SetZeros(s.zeros[t][g] & 0xff, s.zeros[t][g] >> 8);
#pragma unroll
      for (int u = 0; u < 4 / kGroups; ++u) {  // 32 inputs each
        const int part = g * (4 / kGroups) + u;
        const int byte = 8 * (part % 2);
#pragma unroll
        for (int t = 0; t < kTiles; ++t) {
          const uint4& codes = s.codes[t][part / 2];
          uint32_t w[4];
          pairs[t].Expand(codes.x >> byte, codes.y >> byte, w);
#pragma unroll
          for (int c = 0; c < kCols; ++c) Mma<T>(sum[t][c], w, xs[c][part].x, xs[c][part].y);
          pairs[t].Expand(codes.z >> byte, codes.w >> byte, w);
#pragma unroll
          for (int c = 0; c < kCols; ++c) Mma<T>(sum[t][c], w, xs[c][part].z, xs[c][part].w);
        }
      }
#pragma unroll
      for (int t = 0; t < kTiles; ++t) {
        const float2 scale = __half22float2(reinterpret_cast<const __half2&>(s.scales[t][g]));
#pragma unroll
        for (int c = 0; c < kCols; ++c) {
          total[t][c][0] += scale.x * sum[t][c][0];
          total[t][c][1] += scale.x * sum[t][c][1];
          total[t][c][2] += scale.y * sum[t][c][2];
          total[t][c][3] += scale.y * sum[t][c][3];
        }
      }
    }
  };
  for (int i = 0; i < count; i += kDepth) {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      if (i + d >= count) break;
      compute(stages[d]);
      if (i + d + kDepth < count) load(stages[d]);
    }
  }

#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[warp][(t * kCols + c) * 4 + j][lane] = total[t][c][j];
    }
  }
  __syncthreads();
  for (int e = static_cast<int>(threadIdx.x); e < kTiles * kCols * 128; e += 32 * kWarps) {
    const int from = e % 32;
    const int j = e / 32 % 4;
    const int c = e / 128 % kCols;
    const int t = e / (128 * kCols);
    const int m = first_row + 8 * c + 2 * (from % 4) + j % 2;
    const int n = (tile + t) * kTileN + from / 4 * 2 + j / 2;
    if (m >= a.m || n >= a.n) continue;
    const auto sum = [&](int row) {
      float y = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) y += sums[w][row][from];
      return y;
    };
    if (a.gate >= 0) {
      if (j < 2) StoreGated<T>(a, m, n, sum(e / 32), sum(e / 32 + 2));
      continue;
    }
    StorePlain<T>(a, m, n, sum(e / 32), a.scale);
  }
}

}  // namespace awq::cuda
