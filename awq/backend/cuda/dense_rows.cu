#include "awq/backend/cuda/dense_rows.h"

#include <type_traits>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kWarps = 8;
// Of few outputs and not few inputs (routers) four warps share the inputs of one, which are asked
// for before x is there; there rows of x are cheaper here than by a matrix product up to so many
// multiplications.
constexpr int64_t kFewOutputs = 1024;
constexpr int64_t kFewInputs = 1024;
constexpr int kFewSplit = 4;
constexpr int64_t kFewRows = 64;
constexpr int64_t kFewProducts = int64_t{1} << 26;

bool IsSplit(const TensorView& w) { return w.dim(0) <= kFewOutputs && w.dim(1) >= kFewInputs; }

// M rows of x; V neighbours are read at once; kSplit warps share an output. Thread blocks of the
// same outputs are neighbours.
template <typename W, typename X, typename Y, int M, int V, int kSplit>
__global__ void __launch_bounds__(32 * kWarps)
    DenseRowsKernel(const W* w, int64_t w_stride, const X* x, int64_t x_stride, const float* bias,
                    Y* y, int64_t y_stride, int rows, int n, int k, bool early) {
  constexpr int kDepth = kSplit > 1 ? 2 : 4;  // loads of V weights in flight a lane
  constexpr int kStep = kDepth * 32 * V;
  constexpr int kOutputs = kWarps / kSplit;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row_blocks = (rows + M - 1) / M;
  const int first_output = static_cast<int>(blockIdx.x) / row_blocks * kOutputs;
  const int first_row = static_cast<int>(blockIdx.x) % row_blocks * M;
  const int output = first_output + warp / kSplit;
  const W* row = w + min(output, n - 1) * w_stride;
  int first = warp % kSplit * kStep;
  Pack<W, V> weights[kDepth];
  const auto load = [&] {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const int c = first + V * (32 * d + lane);
      if (c < k) weights[d] = *reinterpret_cast<const Pack<W, V>*>(row + c);
    }
  };
  AllowNextKernel();
  if (early) load();
  WaitForPreviousKernel();
  if (!early) load();
  float sums[M] = {};
  while (first < k) {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const int c = first + V * (32 * d + lane);
      if (c >= k) break;
#pragma unroll
      for (int m = 0; m < M; ++m) {
        float v[V];
        LoadFloats<X, V>(x + min(first_row + m, rows - 1) * x_stride + c, v);
#pragma unroll
        for (int i = 0; i < V; ++i) sums[m] += v[i] * ToFloat(weights[d].v[i]);
      }
    }
    first += kSplit * kStep;
    load();
  }
#pragma unroll
  for (int m = 0; m < M; ++m) sums[m] = WarpSum(sums[m]);
  const auto store = [&](int o, int m, float sum) {
    if (o >= n || first_row + m >= rows) return;
    y[(first_row + m) * y_stride + o] = FromFloat<Y>(sum + (bias == nullptr ? 0.0f : bias[o]));
  };
  if constexpr (kSplit == 1) {
#pragma unroll
    for (int m = 0; m < M; ++m) {
      if (lane == 0) store(output, m, sums[m]);
    }
  } else {
    __shared__ float parts[kWarps][M];
#pragma unroll
    for (int m = 0; m < M; ++m) {
      if (lane == 0) parts[warp][m] = sums[m];
    }
    __syncthreads();
    if (threadIdx.x >= kOutputs * M) return;
    const int o = static_cast<int>(threadIdx.x) / M;
    const int m = static_cast<int>(threadIdx.x) % M;
    float sum = 0.0f;
#pragma unroll
    for (int part = 0; part < kSplit; ++part) sum += parts[o * kSplit + part][m];
    store(first_output + o, m, sum);
  }
}

bool IsReadable(const TensorView& t) {
  const int64_t unit = BitsOf(t.dtype);  // eight elements, in bytes
  return t.dim(1) % 8 == 0 && t.strides[0] % 8 == 0 &&
         reinterpret_cast<uintptr_t>(t.data) % static_cast<uintptr_t>(unit) == 0;
}

bool AreReadable(const TensorView& w, const TensorView& x) {
  return IsReadable(w) && IsReadable(x);
}

template <int kNumber>
using Constant = std::integral_constant<int, kNumber>;

}  // namespace

bool PrefersDenseRows(const TensorView& w, const TensorView& x) {
  if (!AreReadable(w, x)) return false;
  const int64_t m = x.dim(0);
  return m <= kMaxDenseRows || (m <= kFewRows && IsSplit(w) && m * w.NumElements() <= kFewProducts);
}

void DenseRows(const Queue& queue, const TensorView& w, const TensorView& x, const TensorView& bias,
               const TensorView& y, bool early) {
  const int64_t m = x.dim(0);
  const int n = static_cast<int>(w.dim(0));
  const auto run = [&](auto rows, auto width, auto split) {
    constexpr int kRows = decltype(rows)::value;
    constexpr int kWidth = decltype(width)::value;
    constexpr int kSplit = decltype(split)::value;
    constexpr int kOutputs = kWarps / kSplit;
    const auto grid =
        static_cast<unsigned>((m + kRows - 1) / kRows * ((n + kOutputs - 1) / kOutputs));
    WithType(w.dtype, [&](auto tw) {
      using W = typename decltype(tw)::type;
      WithType(x.dtype, [&](auto tx) {
        using X = typename decltype(tx)::type;
        const auto to = [&](auto ty) {
          using Y = typename decltype(ty)::type;
          Launch(queue, DenseRowsKernel<W, X, Y, kRows, kWidth, kSplit>, grid, 32 * kWarps, 0,
                 w.As<const W>(), w.strides[0], x.As<const X>(), x.strides[0],
                 bias.As<const float>(), y.As<Y>(), y.strides[0], static_cast<int>(m), n,
                 static_cast<int>(w.dim(1)), early && kSplit > 1);
        };
        if (y.dtype == DType::kF32) return to(Type<float>());
        return to(Type<X>());
      });
    });
  };
  if (m == 0 || n == 0) return;
  if (!AreReadable(w, x)) return run(Constant<1>(), Constant<1>(), Constant<1>());
  if (IsSplit(w)) {
    if (m == 1) return run(Constant<1>(), Constant<8>(), Constant<kFewSplit>());
    return run(Constant<kMaxDenseRows>(), Constant<8>(), Constant<kFewSplit>());
  }
  if (m == 1) return run(Constant<1>(), Constant<8>(), Constant<1>());
  if (m == 2) return run(Constant<2>(), Constant<8>(), Constant<1>());
  if (m == 3) return run(Constant<3>(), Constant<8>(), Constant<1>());
  run(Constant<kMaxDenseRows>(), Constant<8>(), Constant<1>());
}

}  // namespace awq::cuda
