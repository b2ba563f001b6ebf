// The 8-bit linear for few rows of x: codes go from memory straight to registers and tensor cores.
//
// y[M, N] = x[M, K] · dequant(W)[N, K]     x f16 or bf16; f32 accumulate; one byte a code
// grid    (N / 16, M / 32)                 block 4 warps, each every fourth 128 inputs
// lane l  = 4r + q: outputs r and r + 8, inputs 16q … 16q + 15 of 64; four mma steps of four inputs
//         a lane, whose order is free as long as x has the same
// bound   HBM: N·K bytes
#include "awq/backend/cuda/direct_q8.h"

#include <bit>

#include "awq/backend/cuda/codes.cuh"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kTile = 16;   // outputs
constexpr int kChunk = 64;  // inputs
constexpr int kDepth = 4;   // chunks in flight a warp

struct Args {
  const uint8_t* codes;
  const float* scales;
  const uint8_t* zeros;
  int groups, group_shift;  // inputs of a group: 2^shift
  const void* x;
  int64_t x_stride;
  const float* bias;
  void* y;
  int64_t y_stride;
  bool y_f32;
  int m, n, k;
};

// Two codes less their zero, exact: bytes `select` of w.
template <typename T>
__device__ uint32_t Expand(uint32_t w, int first, uint32_t zero);
template <>
__device__ inline uint32_t Expand<__half>(uint32_t w, int first, uint32_t zero) {
  const uint32_t codes = __byte_perm(w, 0x64646464u, first == 0 ? 0x4140 : 0x4342);  // 1024 + code
  const uint32_t zeros = (0x6400u | zero) * 0x10001u;
  uint32_t out;
  asm("sub.f16x2 %0, %1, %2;" : "=r"(out) : "r"(codes), "r"(zeros));
  return out;
}
template <>
__device__ inline uint32_t Expand<__nv_bfloat16>(uint32_t w, int first, uint32_t zero) {
  const float offset = __uint_as_float(0x4b000000u | zero);  // 2^23 + zero
  const float low = __uint_as_float(__byte_perm(w, 0x4b000000u, first == 0 ? 0x7650 : 0x7652));
  const float high = __uint_as_float(__byte_perm(w, 0x4b000000u, first == 0 ? 0x7651 : 0x7653));
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low - offset, high - offset);
  return reinterpret_cast<const uint32_t&>(pair);
}

template <typename T, int kCols>
__global__ void __launch_bounds__(32 * kWarps) DirectQ8Kernel(const Args a) {
  __shared__ float sums[kWarps][kCols * 4][32];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int r = lane / 4;
  const int q = lane % 4;
  const int first = static_cast<int>(blockIdx.x) * kTile;
  const int first_row = static_cast<int>(blockIdx.y) * 8 * kCols;  // of x
  const uint8_t* codes[2];
  const float* scales[2];
  const uint8_t* zeros[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int64_t row = min(first + r + 8 * i, a.n - 1);
    codes[i] = a.codes + row * a.k + 16 * q;
    scales[i] = a.scales + row * a.groups;
    zeros[i] = a.zeros + row * a.groups;
  }
  const uint4* x[kCols];
#pragma unroll
  for (int c = 0; c < kCols; ++c) {
    const int64_t row = min(first_row + 8 * c + r, a.m - 1);
    x[c] = reinterpret_cast<const uint4*>(static_cast<const T*>(a.x) + row * a.x_stride + 16 * q);
  }

  struct Stage {
    uint4 codes[2];
    float scales[2];
    uint32_t zeros[2];
  } stages[kDepth];
  const auto load = [&](Stage& s, int at) {
    const int g = at >> a.group_shift;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      s.codes[i] = make_uint4(0, 0, 0, 0);
      if (at + 16 * q < a.k) s.codes[i] = LoadStream(codes[i] + at);
      s.scales[i] = __ldg(scales[i] + g);
      s.zeros[i] = __ldg(zeros[i] + g);
    }
  };
  // Chunks 2c and 2c + 1 of every fourth c: whole lines of 128 bytes.
  const auto place = [&](int i) { return ((i / 2) * kWarps + warp) * 2 * kChunk + i % 2 * kChunk; };

  AllowNextKernel();
#pragma unroll
  for (int d = 0; d < kDepth; ++d) {
    if (place(d) < a.k) load(stages[d], place(d));
  }
  WaitForPreviousKernel();  // x is the previous kernel's

  float total[kCols][4] = {};
  for (int i = 0; place(i) < a.k; i += kDepth) {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const int at = place(i + d);
      if (at >= a.k) continue;
      const Stage s = stages[d];
      const int next = place(i + d + kDepth);
      if (next < a.k) load(stages[d], next);
      float sum[kCols][4] = {};
      uint4 xs[kCols][2];
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        xs[c][0] = xs[c][1] = make_uint4(0, 0, 0, 0);
        if (at + 16 * q >= a.k) continue;
        xs[c][0] = x[c][at / 8];
        xs[c][1] = x[c][at / 8 + 1];
      }
      const uint32_t words[2][4] = {{s.codes[0].x, s.codes[0].y, s.codes[0].z, s.codes[0].w},
                                    {s.codes[1].x, s.codes[1].y, s.codes[1].z, s.codes[1].w}};
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        const uint32_t w[4] = {
            Expand<T>(words[0][t], 0, s.zeros[0]), Expand<T>(words[1][t], 0, s.zeros[1]),
            Expand<T>(words[0][t], 2, s.zeros[0]), Expand<T>(words[1][t], 2, s.zeros[1])};
#pragma unroll
        for (int c = 0; c < kCols; ++c) {
          const uint4& v = xs[c][t / 2];
          Mma<T>(sum[c], w, t % 2 == 0 ? v.x : v.z, t % 2 == 0 ? v.y : v.w);
        }
      }
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
#pragma unroll
        for (int j = 0; j < 4; ++j) total[c][j] += s.scales[j / 2] * sum[c][j];
      }
    }
  }

#pragma unroll
  for (int c = 0; c < kCols; ++c) {
#pragma unroll
    for (int j = 0; j < 4; ++j) sums[warp][c * 4 + j][lane] = total[c][j];
  }
  __syncthreads();
  for (int e = static_cast<int>(threadIdx.x); e < kCols * 128; e += 32 * kWarps) {
    const int from = e % 32;
    const int j = e / 32 % 4;
    const int m = first_row + e / 128 * 8 + 2 * (from % 4) + j % 2;
    const int n = first + from / 4 + j / 2 * 8;
    if (m >= a.m || n >= a.n) continue;
    float y = a.bias == nullptr ? 0.0f : a.bias[n];
#pragma unroll
    for (int w = 0; w < kWarps; ++w) y += sums[w][e / 32][from];
    const int64_t at = m * a.y_stride + n;
    if (a.y_f32) {
      static_cast<float*>(a.y)[at] = y;
    } else {
      static_cast<T*>(a.y)[at] = FromFloat<T>(y);
    }
  }
}

template <typename T>
auto* ChooseKernel(int64_t m) {
  return m <= 8 ? &DirectQ8Kernel<T, 1> : m <= 16 ? &DirectQ8Kernel<T, 2> : &DirectQ8Kernel<T, 4>;
}

}  // namespace

bool SupportsDirectQ8(const PlainWeight& w, const TensorView& x, const TensorView& y, int arch) {
  const bool type = x.dtype == DType::kF16 ? arch >= 75 : x.dtype == DType::kBF16 && arch >= 80;
  const bool readable =
      w.k() % 16 == 0 && x.strides[0] % 8 == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
  const bool grouped =
      w.groups() == 1 || (w.group() >= kChunk && (w.group() & (w.group() - 1)) == 0);
  return type && readable && grouped && (y.dtype == x.dtype || y.dtype == DType::kF32);
}

void DirectQ8(const Queue& queue, const PlainWeight& w, const TensorView& x, const TensorView& bias,
              const TensorView& y) {
  const Args args{
      .codes = w.codes(),
      .scales = w.scales(),
      .zeros = w.zeros(),
      .groups = static_cast<int>(w.groups()),
      .group_shift = w.groups() == 1 ? 31 : std::countr_zero(static_cast<uint64_t>(w.group())),
      .x = x.data,
      .x_stride = x.strides[0],
      .bias = bias.As<const float>(),
      .y = y.data,
      .y_stride = y.strides[0],
      .y_f32 = y.dtype == DType::kF32,
      .m = static_cast<int>(x.dim(0)),
      .n = static_cast<int>(w.n()),
      .k = static_cast<int>(w.k())};
  const dim3 grid(static_cast<unsigned>((w.n() + kTile - 1) / kTile),
                  static_cast<unsigned>((x.dim(0) + 31) / 32));
  if (x.dtype == DType::kF16) {
    Launch(queue, ChooseKernel<__half>(x.dim(0)), grid, 32 * kWarps, 0, args);
  } else {
    Launch(queue, ChooseKernel<__nv_bfloat16>(x.dim(0)), grid, 32 * kWarps, 0, args);
  }
}

}  // namespace awq::cuda
