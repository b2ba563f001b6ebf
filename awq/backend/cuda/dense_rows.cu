#include "awq/backend/cuda/dense_rows.h"

#include <algorithm>
#include <type_traits>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kDepth = 4;  // loads of V weights in flight a lane

// M rows of x; V neighbours are read at once.
template <typename W, typename X, typename Y, int M, int V>
__global__ void __launch_bounds__(32 * kWarps)
    DenseRowsKernel(const W* w, int64_t w_stride, const X* x, int64_t x_stride, const float* bias,
                    Y* y, int64_t y_stride, int n, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int output = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  AllowNextKernel();
  WaitForPreviousKernel();
  if (output >= n) return;
  const W* row = w + output * w_stride;
  float sums[M] = {};
  for (int first = 0; first < k; first += kDepth * 32 * V) {
    Pack<W, V> weights[kDepth];
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const int c = first + V * (32 * d + lane);
      if (c < k) weights[d] = *reinterpret_cast<const Pack<W, V>*>(row + c);
    }
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const int c = first + V * (32 * d + lane);
      if (c >= k) break;
#pragma unroll
      for (int m = 0; m < M; ++m) {
        float v[V];
        LoadFloats<X, V>(x + m * x_stride + c, v);
#pragma unroll
        for (int i = 0; i < V; ++i) sums[m] += v[i] * ToFloat(weights[d].v[i]);
      }
    }
  }
#pragma unroll
  for (int m = 0; m < M; ++m) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) sums[m] += __shfl_xor_sync(~0u, sums[m], step);
    if (lane == 0) {
      y[m * y_stride + output] = FromFloat<Y>(sums[m] + (bias == nullptr ? 0.0f : bias[output]));
    }
  }
}

bool IsReadable(const TensorView& t) {
  const int64_t unit = BitsOf(t.dtype);  // eight elements, in bytes
  return t.dim(1) % 8 == 0 && t.strides[0] % 8 == 0 &&
         reinterpret_cast<uintptr_t>(t.data) % static_cast<uintptr_t>(unit) == 0;
}

}  // namespace

bool SupportsDenseRows(const TensorView& w, const TensorView& x) {
  return IsReadable(w) && IsReadable(x);
}

void DenseRows(const Queue& queue, const TensorView& w, const TensorView& x, const TensorView& bias,
               const TensorView& y) {
  const int n = static_cast<int>(w.dim(0));
  const int k = static_cast<int>(w.dim(1));
  const auto grid = static_cast<unsigned>((n + kWarps - 1) / kWarps);
  // A few rows of x in one pass.
  const auto pass = [&](const TensorView& few, const TensorView& to, auto rows, auto width) {
    constexpr int kRows = decltype(rows)::value;
    constexpr int kWidth = decltype(width)::value;
    WithType(w.dtype, [&](auto tw) {
      using W = typename decltype(tw)::type;
      WithType(x.dtype, [&](auto tx) {
        using X = typename decltype(tx)::type;
        const auto run = [&](auto ty) {
          using Y = typename decltype(ty)::type;
          Launch(queue, DenseRowsKernel<W, X, Y, kRows, kWidth>, grid, 32 * kWarps, 0,
                 w.As<const W>(), w.strides[0], few.As<const X>(), few.strides[0],
                 bias.As<const float>(), to.As<Y>(), to.strides[0], n, k);
        };
        if (y.dtype == DType::kF32) return run(Type<float>());
        return run(Type<X>());
      });
    });
  };
  const bool wide = SupportsDenseRows(w, x);
  const int64_t step = wide ? kMaxDenseRows : 1;
  for (int64_t first = 0; first < x.dim(0); first += step) {
    const int64_t end = std::min(first + step, x.dim(0));
    const TensorView few = x.Rows(first, end);
    const TensorView to = y.Rows(first, end);
    const auto eight = std::integral_constant<int, 8>();
    if (!wide) {
      pass(few, to, std::integral_constant<int, 1>(), std::integral_constant<int, 1>());
    } else if (end - first == 1) {
      pass(few, to, std::integral_constant<int, 1>(), eight);
    } else if (end - first == 2) {
      pass(few, to, std::integral_constant<int, 2>(), eight);
    } else if (end - first == 3) {
      pass(few, to, std::integral_constant<int, 3>(), eight);
    } else {
      pass(few, to, std::integral_constant<int, 4>(), eight);
    }
  }
}

}  // namespace awq::cuda
