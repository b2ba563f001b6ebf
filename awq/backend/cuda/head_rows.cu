#include "awq/backend/cuda/head_rows.h"

#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kOutputs = 16;    // of a warp
constexpr int kStep = 32;       // inputs of a lane quad's 16-byte loads
constexpr int kDepth = 4;       // steps whose weights are in flight
constexpr int64_t kLong = 512;  // inputs that four warps share

struct HeadRowsArgs {
  const StackedWeight* stack;
  const void* x;
  int64_t x_stride, x_head;  // of a token, of a head
  void* y;
  int64_t y_stride, y_head;
  int tokens, n, k;
};

__device__ uint4 LoadChunk(const void* from, bool valid) {
  return valid ? *static_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
}

// grid (outputs, heads, tokens), in blocks of kWarps / kSplit · 16, 1 and 8 · kTiles. Lane l holds
// eight neighbours of row l / 4 from input 8 · (l % 4) on, of weights and of x alike, and calls
// them what mma's layout wants in their place: sums do not care.
template <typename T, int kTiles, int kSplit>
__global__ void __launch_bounds__(32 * kWarps) HeadRowsKernel(const HeadRowsArgs a) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int head = static_cast<int>(blockIdx.y);
  const int output =
      (static_cast<int>(blockIdx.x) * (kWarps / kSplit) + warp / kSplit) * kOutputs + lane / 4;
  const int first_token = static_cast<int>(blockIdx.z) * 8 * kTiles;
  const T* weight = static_cast<const T*>(a.stack[head].data);
  const T* rows[2];
  for (int i = 0; i < 2; ++i) {
    rows[i] = weight + static_cast<int64_t>(min(output + 8 * i, a.n - 1)) * a.k;
  }
  uint4 w[kDepth][2];
  const auto load = [&](int first) {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const int k = first + kSplit * kStep * d + lane % 4 * 8;
#pragma unroll
      for (int i = 0; i < 2; ++i) w[d][i] = LoadChunk(rows[i] + k, k < a.k);
    }
  };
  int first = warp % kSplit * kStep;
  AllowNextKernel();
  load(first);
  WaitForPreviousKernel();
  const T* x = static_cast<const T*>(a.x) + head * a.x_head;
  float sums[kTiles][4] = {};
  for (; first < a.k; first += kDepth * kSplit * kStep) {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const int k = first + kSplit * kStep * d + lane % 4 * 8;
      const uint32_t low[4] = {w[d][0].x, w[d][1].x, w[d][0].y, w[d][1].y};
      const uint32_t high[4] = {w[d][0].z, w[d][1].z, w[d][0].w, w[d][1].w};
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        const int token = min(first_token + 8 * tile + lane / 4, a.tokens - 1);
        const uint4 v = LoadChunk(x + token * a.x_stride + k, k < a.k);
        Mma<T>(sums[tile], low, v.x, v.y);
        Mma<T>(sums[tile], high, v.z, v.w);
      }
    }
    load(first + kDepth * kSplit * kStep);
  }
  if constexpr (kSplit > 1) {
    __shared__ float4 parts[kSplit][kTiles][32];
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      parts[warp][tile][lane] =
          make_float4(sums[tile][0], sums[tile][1], sums[tile][2], sums[tile][3]);
    }
    __syncthreads();
    if (warp > 0) return;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int p = 1; p < kSplit; ++p) {
        const float4 v = parts[p][tile][lane];
        sums[tile][0] += v.x;
        sums[tile][1] += v.y;
        sums[tile][2] += v.z;
        sums[tile][3] += v.w;
      }
    }
  }
  T* y = static_cast<T*>(a.y) + head * a.y_head;
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int token = first_token + 8 * tile + lane % 4 * 2 + i % 2;
      const int o = output + i / 2 * 8;
      if (token < a.tokens && o < a.n) y[token * a.y_stride + o] = FromFloat<T>(sums[tile][i]);
    }
  }
}

template <typename T>
void Run(const Queue& queue, const HeadRowsArgs& a, int64_t heads) {
  const auto launch = [&](auto* kernel, int tiles, int split) {
    const auto blocks = [](int64_t count, int64_t size) {
      return static_cast<unsigned>((count + size - 1) / size);
    };
    const dim3 grid(blocks(a.n, kWarps / split * kOutputs), static_cast<unsigned>(heads),
                    blocks(a.tokens, 8 * tiles));
    Launch(queue, kernel, grid, 32 * kWarps, 0, a);
  };
  if (a.k >= kLong) {
    if (a.tokens <= 8) return launch(&HeadRowsKernel<T, 1, 4>, 1, 4);
    if (a.tokens <= 32) return launch(&HeadRowsKernel<T, 4, 4>, 4, 4);
    return launch(&HeadRowsKernel<T, 8, 4>, 8, 4);
  }
  if (a.tokens <= 8) return launch(&HeadRowsKernel<T, 1, 1>, 1, 1);
  if (a.tokens <= 32) return launch(&HeadRowsKernel<T, 4, 1>, 4, 1);
  launch(&HeadRowsKernel<T, 8, 1>, 8, 1);
}

}  // namespace

bool SupportsHeadRows(const Stack& w, const TensorView& x, int arch) {
  const auto divides = [](int64_t count) { return count % 8 == 0; };
  return (x.dtype == DType::kF16 || (x.dtype == DType::kBF16 && arch >= 80)) &&
         w.IsDense(x.dtype) && divides(w.k()) && divides(x.strides[0]) && divides(x.strides[1]) &&
         reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

void HeadRowsLinear(const Queue& queue, const Stack& w, const TensorView& x, const TensorView& y) {
  if (y.NumElements() == 0) return;
  const HeadRowsArgs a{.stack = w.on_device(),
                       .x = x.data,
                       .x_stride = x.strides[0],
                       .x_head = x.strides[1],
                       .y = y.data,
                       .y_stride = y.strides[0],
                       .y_head = y.strides[1],
                       .tokens = static_cast<int>(x.dim(0)),
                       .n = static_cast<int>(w.n()),
                       .k = static_cast<int>(w.k())};
  if (x.dtype == DType::kF16) return Run<__half>(queue, a, w.size());
  Run<__nv_bfloat16>(queue, a, w.size());
}

}  // namespace awq::cuda
