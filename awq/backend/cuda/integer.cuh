// Linears of one or two rows of x by integer tensor cores: what memory allows for one row is more
// than turning codes into floats does.
//
// y[M, N] = x[M, K] · dequant(W)[N, K]     M <= 2; exact sums of blocks, f32 beyond; any weight in
//         blocks of 16 outputs x 128 inputs whose bytes are operands of an integer mma without
//         arithmetic (integer_codes.cuh)
// x       becomes digits (digits.cuh), which are columns of the mma, of which one row of x would
//         otherwise use one in eight
// grid    as many blocks as fit; each takes consecutive row tiles. It makes the digits of all of x
//         in shared memory, while its first weights come; then its warps take the blocks of its
//         tiles in turn, and meet once for each tile
// bound   HBM from about four tiles an SM on; below it, the digits
#pragma once

#include "awq/backend/cuda/digits.cuh"
#include "awq/backend/cuda/direct_q4.h"
#include "awq/backend/cuda/gate.cuh"
#include "awq/backend/cuda/integer_codes.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {

inline constexpr int kMaxIntegerRows = 2;

struct IntegerArgs : DirectArgs {
  int tiles;          // row tiles of a thread block
  int longer_blocks;  // the first ones have one more
};

template <int kGroups>
AWQ_HD constexpr int IntegerSharedBytes(int rows, int blocks_per_row) {
  return 16 + rows * blocks_per_row *
                  (kDigitWords * 4 + 2 * static_cast<int>(sizeof(DigitScale<kGroups>)));
}

// d[16, 8] += a[16, 32] · b[32, 8], bytes without and with sign.
__device__ inline void MmaBytes(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if AWQ_SM80
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// kDepth: blocks ahead a warp; kBlocks: thread blocks that share an SM.
template <typename T, typename Codes, int kWarps, int kDepth, int kBlocks>
__global__ void __launch_bounds__(32 * kWarps, kBlocks) IntegerLinear(const IntegerArgs a) {
  constexpr int kGroups = Codes::kGroups;
  extern __shared__ __align__(16) uint32_t digits[];
  __shared__ float sums[2][kWarps][kMaxIntegerRows * kTileN];
  // Four words of zeros, the digits, the scales.
  const int units = a.m * a.blocks_per_row;
  auto* scales = reinterpret_cast<DigitScale<kGroups>*>(digits + 4 + units * kDigitWords);
  const unsigned warp = __shfl_sync(~0u, threadIdx.x / 32, 0);  // known to be the same in a warp
  const unsigned lane = threadIdx.x % 32;
  const unsigned r = lane / 4;
  const unsigned q = lane % 4;
  const int first_tile =
      static_cast<int>(blockIdx.x) * a.tiles + min(static_cast<int>(blockIdx.x), a.longer_blocks);
  const int num_tiles = a.tiles + (static_cast<int>(blockIdx.x) < a.longer_blocks ? 1 : 0);
  // The tiles' blocks lie one after another; this warp's are every kWarps'th.
  const int count = num_tiles * a.blocks_per_row - static_cast<int>(warp);  // and those after it

  Codes stages[kDepth];
  const typename Codes::Places places(lane);
  const uint8_t* next =
      a.blocks + (int64_t{first_tile} * a.blocks_per_row + warp) * Codes::kBlockBytes;
  const auto load = [&](Codes& codes) {
    codes.Load(next, places);
    next += kWarps * Codes::kBlockBytes;
  };

  AllowNextKernel();
#pragma unroll
  for (int d = 0; d < kDepth; ++d) {
    if (d * kWarps < count) load(stages[d]);
  }
  {
    constexpr int kUnits = 2 * kWarps;  // of 128 inputs at a time
    const unsigned part = lane % 16;
    FourAndFour<T, Codes::kApart> values;
    const int input = static_cast<int>(values.FirstInput(part));
    const int first = static_cast<int>(threadIdx.x / 16);
    const T* x = static_cast<const T*>(a.x) + first * kBlockK + input;
    const int left = a.k - first * kBlockK - input;
    if (threadIdx.x < 4) digits[threadIdx.x] = 0;
    WaitForPreviousKernel();  // x is the previous kernel's
    for (int row = 0; row < a.m; ++row, x += a.x_stride) {
      uint32_t* to = digits + 4 + row * a.blocks_per_row * kDigitWords;
      DigitScale<kGroups>* scale = scales + row * a.blocks_per_row * 2;
      for (int at = first; at - first % 2 < a.blocks_per_row; at += kUnits) {
        values.Load(x + (at - first) * kBlockK, left - (at - first) * kBlockK);
        MakeDigits<kGroups, Codes::kApart>(values, part, at < a.blocks_per_row, Codes::kOddUnit,
                                           to + at * kDigitWords, scale + 2 * at);
      }
    }
    __syncthreads();
  }

  // Columns of the mma: digit r % 4 of row r / 4, zeros for the fourth. Of the columns 2q and 2q +
  // 1 that a lane gets sums of, an even q has the first two digits of row q / 2, an odd one the
  // last.
  const uint32_t last_row = static_cast<uint32_t>(a.m - 1) * a.blocks_per_row;
  uint32_t column = SharedAddress(digits);
  uint32_t column_step = 0;
  if (r % 4 < kDigits) {
    column += 4 * (4 + (r < 4 ? 0 : last_row) * kDigitWords + r % 4 * 16 + q * 4);
    column_step = 4 * kDigitWords;
  }
  uint32_t scale_at = SharedAddress(scales + 2 * (q < 2 ? 0 : last_row) + q % 2);
  int first_weight = q % 2 == 0 ? 256 : 1;
  Keep(column), Keep(column_step), Keep(scale_at), Keep(first_weight);

  float even = 0.0f;  // of both outputs
  float odd = 0.0f;
  const auto compute = [&](const Codes& codes, uint32_t block) {
    float scale[4];
    LoadShared(scale_at + block * 2 * sizeof(DigitScale<kGroups>), scale);
    float more[4];  // sums of groups
    if (kGroups == 4) LoadShared(scale_at + block * 2 * sizeof(DigitScale<kGroups>) + 16, more);
    int sum[kGroups][4] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t b[4];
      LoadShared(column + block * column_step + half * (column_step / 2), b);
#pragma unroll
      for (int step = 0; step < 2; ++step) {
        uint32_t w[4];
        codes.Operand(half, step, w);
        const uint32_t b0 = b[2 * step];
        const uint32_t b1 = b[2 * step + 1];
        if constexpr (kGroups == 4) {  // bytes 0 and 2 are of the first 32 inputs
          MmaBytes(sum[2 * half], w, b0 & 0x00ff00ffu, b1 & 0x00ff00ffu);
          MmaBytes(sum[2 * half + 1], w, b0 & 0xff00ff00u, b1 & 0xff00ff00u);
        } else {
          MmaBytes(sum[half * (kGroups - 1)], w, b0, b1);
        }
      }
    }
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      const float2 w = codes.Scales(g);
      const float xs = g < 2 ? scale[2 + g] : more[g - 2];
      const float z_even = static_cast<float>(codes.zeros[g] & 0xff);
      const float z_odd = static_cast<float>(codes.zeros[g] >> 8);
      const int v_even = sum[g][0] * first_weight + sum[g][1];
      const int v_odd = sum[g][2] * first_weight + sum[g][3];
      even += w.x * (scale[0] * static_cast<float>(v_even) - z_even * xs);
      odd += w.y * (scale[1] * static_cast<float>(v_odd) - z_odd * xs);
    }
  };
  unsigned done = 0;  // tiles
  const auto finish_tile = [&] {
    even += __shfl_xor_sync(~0u, even, 1);
    odd += __shfl_xor_sync(~0u, odd, 1);
    auto& all = sums[done % 2];
    if (q % 2 == 0) {
      float* to = &all[warp][q / 2 * kTileN + 2 * r];
      to[0] = even;
      to[1] = odd;
    }
    even = odd = 0.0f;
    __syncthreads();
    if (warp == done % kWarps) {
      const int m = static_cast<int>(lane / kTileN);
      const int n =
          (first_tile + static_cast<int>(done)) * kTileN + static_cast<int>(lane % kTileN);
      float y = 0.0f;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) y += all[w][lane];
      const float up = __shfl_down_sync(~0u, y, 1);
      if (m < a.m && n < a.n) {
        if (a.gate >= 0) {
          if (n % 2 == 0) StoreGated<T>(a, m, n, y, up);
        } else {
          StorePlain<T>(a, m, n, y, a.scale);
        }
      }
    }
    ++done;
  };
  int block = static_cast<int>(warp);
  for (int i = 0; i < count; i += kDepth * kWarps) {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      if (i + d * kWarps >= count) break;
      while (block >= a.blocks_per_row) {
        finish_tile();
        block -= a.blocks_per_row;
      }
      compute(stages[d], static_cast<uint32_t>(block));
      if (i + (d + kDepth) * kWarps < count) load(stages[d]);
      block += kWarps;
    }
  }
  while (static_cast<int>(done) < num_tiles) finish_tile();
}

}  // namespace awq::cuda
