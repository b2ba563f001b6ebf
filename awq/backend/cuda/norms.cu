// Norms of rows, alone and of a sum.
#include <algorithm>

#include "awq/backend/cuda/row_access.cuh"
#include "awq/backend/cuda/rows.h"

namespace awq::cuda {
namespace {

// Rows of a tensor of rank 2, or 3 with `inner` rows in a step of the first dimension.
template <typename T>
struct RowsOf {
  T* data;
  int64_t outer_stride, inner_stride;
  int inner;
  __device__ T* Row(int row) const {
    return data + row / inner * outer_stride + row % inner * inner_stride;
  }
};
template <typename T>
RowsOf<T> AsRows(const TensorView& t) {
  if (t.rank() == 2) return {static_cast<T*>(t.data), t.strides[0], 0, 1};
  return {static_cast<T*>(t.data), t.strides[0], t.strides[1], static_cast<int>(t.dim(1))};
}

// One block a row. With X2, x is first increased by x2, and stored.
template <typename X, typename X2, typename Y, int V>
__global__ void __launch_bounds__(1024)
    NormKernel(RowsOf<X> x, RowsOf<const X2> x2, const float* weight, const float* bias,
               RowsOf<Y> y, int columns, float epsilon, bool centre) {
  const int at = static_cast<int>(blockIdx.x);
  X* row = x.Row(at);
  Y* out = y.Row(at);
  const int first = static_cast<int>(threadIdx.x) * V;
  const int step = static_cast<int>(blockDim.x) * V;
  // This thread's first columns stay in registers, longer rows are read again; weights are there
  // before the previous kernel has ended.
  constexpr int kHeld = V == 1 ? 1 : 2;
  float held[kHeld][V];
  float scale[kHeld][V];
  AllowNextKernel();
#pragma unroll
  for (int h = 0; h < kHeld; ++h) {
    const int c = first + h * step;
    if (c < columns) LoadFloats<float, V>(weight + c, scale[h]);
  }
  WaitForPreviousKernel();
  float mean = 0.0f;
  float squares = 0.0f;
  const auto read = [&](int c, float(&v)[V]) {
    LoadFloats<X, V>(row + c, v);
    if (x2.data != nullptr) {
      float more[V];
      LoadFloats<X2, V>(x2.Row(at) + c, more);
#pragma unroll
      for (int i = 0; i < V; ++i) v[i] += more[i];
      StoreFloats<X, V>(row + c, v);
    }
#pragma unroll
    for (int i = 0; i < V; ++i) {
      mean += v[i];
      squares += v[i] * v[i];
    }
  };
#pragma unroll
  for (int h = 0; h < kHeld; ++h) {
    const int c = first + h * step;
    if (c < columns) read(c, held[h]);
  }
  for (int c = first + kHeld * step; c < columns; c += step) {
    float v[V];
    read(c, v);
  }
  if (centre) {
    mean = BlockSum(mean) / static_cast<float>(columns);
    squares = 0.0f;
    for (int c = first; c < columns; c += step) {
      float v[V];
      LoadFloats<X, V>(row + c, v);
#pragma unroll
      for (int i = 0; i < V; ++i) squares += (v[i] - mean) * (v[i] - mean);
    }
  } else {
    mean = 0.0f;
  }
  const float inverse = 1.0f / sqrtf(BlockSum(squares) / static_cast<float>(columns) + epsilon);
  const auto write = [&](int c, float(&v)[V], const float(&s)[V]) {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      v[i] = (v[i] - mean) * inverse * s[i] + (bias == nullptr ? 0.0f : bias[c + i]);
    }
    StoreFloats<Y, V>(out + c, v);
  };
#pragma unroll
  for (int h = 0; h < kHeld; ++h) {
    const int c = first + h * step;
    if (c < columns) write(c, held[h], scale[h]);
  }
  for (int c = first + kHeld * step; c < columns; c += step) {
    float v[V];
    float s[V];
    LoadFloats<X, V>(row + c, v);
    LoadFloats<float, V>(weight + c, s);
    write(c, v, s);
  }
}

// x2: empty, or what is added to x before.
void NormOrAddNorm(const Queue& queue, const NormArgs& args, const TensorView& x,
                   const TensorView& x2, const TensorView& weight, const TensorView& bias,
                   const TensorView& y) {
  const int64_t rows = x.NumRows();
  if (rows == 0) return;
  const int columns = static_cast<int>(x.dim(x.rank() - 1));
  const bool wide = IsWide(x) && IsWide(x2) && IsWide(y) && IsWide(weight);
  WithType(x.dtype, [&](auto tx) {
    using X = typename decltype(tx)::type;
    WithType(y.dtype, [&](auto ty) {
      using Y = typename decltype(ty)::type;
      WithWidth(wide, [&](auto width) {
        constexpr int kWidth = decltype(width)::value;
        const int threads = std::clamp((columns / kWidth + 31) / 32 * 32, 32, 1024);
        const auto run = [&](auto t2) {
          using X2 = typename decltype(t2)::type;
          const RowsOf<const X2> more = x2.empty() ? RowsOf<const X2>{} : AsRows<const X2>(x2);
          Launch(queue, NormKernel<X, X2, Y, kWidth>, static_cast<unsigned>(rows), threads, 0,
                 AsRows<X>(x), more, weight.As<const float>(), bias.As<const float>(), AsRows<Y>(y),
                 columns, args.epsilon, args.kind == NormKind::kLayer);
        };
        if (!x2.empty() && x2.dtype == DType::kF32) return run(Type<float>());
        return run(Type<Y>());
      });
    });
  });
}

}  // namespace

void Norm(const Queue& queue, const NormArgs& args, const TensorView& x, const TensorView& weight,
          const TensorView& bias, const TensorView& y) {
  NormOrAddNorm(queue, args, x, {}, weight, bias, y);
}

void AddNorm(const Queue& queue, const NormArgs& args, const TensorView& residual,
             const TensorView& x, const TensorView& weight, const TensorView& bias,
             const TensorView& y) {
  if (x.dtype == y.dtype || x.dtype == DType::kF32) {
    NormOrAddNorm(queue, args, residual, x, weight, bias, y);
  } else {
    Add(queue, residual, x);
    Norm(queue, args, residual, weight, bias, y);
  }
}

}  // namespace awq::cuda
