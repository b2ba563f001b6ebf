// The 8-bit linear for few rows of x: codes go from memory straight to registers and tensor cores.
//
// y[M, N] = x[M, K] · dequant(W)[N, K]     x f16 or bf16; f32 accumulate; layout_q8.h
// grid    (as many blocks as fit, M / 32)  block 4 warps, each every fourth 128 inputs of a tile
// lane l  = 4r + q: outputs 2r and 2r + 1, inputs 16q … 16q + 15 of 64; four mma steps of four
//         inputs a lane, whose order is free as long as x has the same
// A thread block takes row tiles in turn; the codes of the next one are under way while the sums of
// this one meet.
// bound   HBM: N·K bytes
#include "awq/backend/cuda/direct_q8.h"

#include <algorithm>

#include "awq/backend/cuda/codes_q8.cuh"
#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kDepth = 4;  // stages of 64 inputs in flight a warp, half a block each

__device__ inline uint32_t Word(const uint4& v, int i) {
  return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

// kGroups: groups in 128 inputs; kCols: tiles of 8 rows of x.
template <typename T, int kGroups, int kCols>
__global__ void __launch_bounds__(32 * kWarps) DirectQ8Kernel(const DirectArgs a) {
  constexpr int kBlockBytes = Q8Shape::kCodes + kGroups * Q8Shape::kMeta;
  constexpr int kSums = kCols * 4;
  __shared__ float sums[2][kWarps][kSums][32];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int r = lane / 4;
  const int q = lane % 4;
  const int place = 16 * PlaceOfLane(lane);
  const int first_row = static_cast<int>(blockIdx.y) * 8 * kCols;  // of x
  const int step = static_cast<int>(gridDim.x);                    // from one tile to the next
  const int first_tile = static_cast<int>(blockIdx.x);

  struct Stage {
    uint4 codes[2];
    float2 scales;
    uint32_t zeros;
  } stages[kDepth];
  // What is loaded next: block `ahead` of tile `tile_ahead`.
  int tile_ahead = first_tile;
  int ahead = warp;
  const auto load = [&](Stage& s, int half) {
    if (ahead >= a.blocks_per_row || tile_ahead >= a.row_tiles) return;
    const uint8_t* block =
        a.blocks + (int64_t{tile_ahead} * a.blocks_per_row + ahead) * int64_t{kBlockBytes};
    s.codes[0] = LoadStream(block + 1024 * half + place);
    s.codes[1] = LoadStream(block + 1024 * half + 512 + place);
    const uint8_t* meta = block + Q8Shape::kCodes + (kGroups == 2 ? half * Q8Shape::kMeta : 0);
    s.scales = __ldg(reinterpret_cast<const float2*>(meta) + r);
    s.zeros = LoadOnce<uint16_t>(meta + 4 * kTileN + 2 * r);
    if (half == 0) return;
    ahead += kWarps;
    if (ahead >= a.blocks_per_row) ahead = warp, tile_ahead += step;
  };

  AllowNextKernel();
#pragma unroll
  for (int d = 0; d < kDepth; ++d) load(stages[d], d % 2);
  WaitForPreviousKernel();  // x is the previous kernel's

  const T* x[kCols];
#pragma unroll
  for (int c = 0; c < kCols; ++c) {
    const int row = min(first_row + 8 * c + r, a.m - 1);
    x[c] = static_cast<const T*>(a.x) + row * a.x_stride + 16 * q;
  }
  float total[kCols][4] = {};
  const auto compute = [&](const Stage& s, int first) {  // inputs [first, first + 64)
    float sum[kCols][4] = {};
    uint32_t xs[kCols][2][4];  // pairs of the first and of the last 8 of this lane's 16
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        uint4 v = make_uint4(0, 0, 0, 0);
        if (first + 16 * q < a.k) v = *reinterpret_cast<const uint4*>(x[c] + first + 8 * part);
        xs[c][part][0] = v.x, xs[c][part][1] = v.y, xs[c][part][2] = v.z, xs[c][part][3] = v.w;
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      uint32_t w[4];
      ExpandQ8<T>(Word(s.codes[0], i), Word(s.codes[1], i), s.zeros, w);
#pragma unroll
      for (int c = 0; c < kCols; ++c) Mma<T>(sum[c], w, xs[c][0][i], xs[c][1][i]);
    }
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        total[c][j] += (j < 2 ? s.scales.x : s.scales.y) * sum[c][j];
      }
    }
  };

  int buffer = 0;  // of sums, in turns: one barrier a tile will do
  // Adds up what the warps have of a tile, and stores it.
  const auto finish = [&](int tile) {
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        sums[buffer][warp][c * 4 + j][lane] = total[c][j];
        total[c][j] = 0.0f;
      }
    }
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < kSums * 32; e += 32 * kWarps) {
      const int from = e % 32;
      const int j = e / 32 % 4;
      const int c = e / 128;
      const int m = first_row + 8 * c + 2 * (from % 4) + j % 2;
      const int n = tile * kTileN + from / 4 * 2 + j / 2;
      if (m >= a.m || n >= a.n) continue;
      float y = a.bias == nullptr ? 0.0f : a.bias[n];
#pragma unroll
      for (int w = 0; w < kWarps; ++w) y += sums[buffer][w][e / 32][from];
      const int64_t at = m * a.y_stride + n;
      if (a.y_f32) {
        static_cast<float*>(a.y)[at] = y;
      } else {
        static_cast<T*>(a.y)[at] = FromFloat<T>(y);
      }
    }
    buffer ^= 1;
  };

  int tile = first_tile;
  int block = warp;
  while (tile < a.row_tiles) {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      if (tile >= a.row_tiles) break;
      if (block < a.blocks_per_row) {
        compute(stages[d], block * kBlockK + d % 2 * 64);
        load(stages[d], d % 2);
      }
      if (d % 2 == 0) continue;
      block += kWarps;
      if (block < a.blocks_per_row) continue;
      finish(tile);
      block = warp;
      tile += step;
    }
  }
}

// As many thread blocks as the device holds at once.
template <typename T, int kGroups, int kCols>
void LaunchRows(const Queue& queue, const DeviceLimits& device, const DirectArgs& args) {
  void (*kernel)(DirectArgs) = DirectQ8Kernel<T, kGroups, kCols>;
  int fit = 0;
  AWQ_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, kernel, 32 * kWarps, 0));
  const dim3 grid(static_cast<unsigned>(std::min(args.row_tiles, std::max(fit, 1) * device.sms)),
                  static_cast<unsigned>((args.m + 8 * kCols - 1) / (8 * kCols)));
  Launch(queue, kernel, grid, 32 * kWarps, 0, args);
}

template <typename T, int kGroups>
void LaunchGroups(const Queue& queue, const DeviceLimits& device, const DirectArgs& args) {
  if (args.m <= 8) return LaunchRows<T, kGroups, 1>(queue, device, args);
  if (args.m <= 16) return LaunchRows<T, kGroups, 2>(queue, device, args);
  LaunchRows<T, kGroups, 4>(queue, device, args);
}

}  // namespace

bool IsReadableQ8(const TensorView& x, const TensorView& y) {
  return (x.dtype == DType::kF16 || x.dtype == DType::kBF16) &&
         (y.dtype == x.dtype || y.dtype == DType::kF32) && x.strides[0] % 8 == 0 &&
         reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

bool SupportsDirectQ8(const Q8Weight& w, const TensorView& x, const TensorView& y,
                      const DeviceLimits& device) {
  const bool type =
      x.dtype == DType::kF16 ? device.arch >= 75 : x.dtype == DType::kBF16 && device.arch >= 80;
  return type && w.k() % 16 == 0 && IsReadableQ8(x, y);
}

void DirectQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
              const TensorView& x, const TensorView& bias, const TensorView& y) {
  const DirectArgs args = DirectArgsOf(BlocksOf(w, x, bias, y));
  const auto run = [&](auto type) {
    using T = typename decltype(type)::type;
    const auto launch = w.shape().GroupsPerBlock() == 1 ? LaunchGroups<T, 1> : LaunchGroups<T, 2>;
    launch(queue, device, args);
  };
  if (x.dtype == DType::kF16) {
    run(Type<__half>());
  } else {
    run(Type<__nv_bfloat16>());
  }
}

}  // namespace awq::cuda
