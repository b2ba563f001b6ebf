#include "awq/backend/cuda/rows.h"

#include <type_traits>

#include "awq/backend/cuda/gate.cuh"
#include "awq/backend/cuda/row_access.cuh"

namespace awq::cuda {
namespace {

template <typename X, int V>
__global__ void AddKernel(Matrix<float> residual, Matrix<const X> x, int columns) {
  BeginKernel();
  const int c = Column<V>();
  if (c >= columns) return;
  float a[V];
  float b[V];
  LoadFloats<float, V>(residual.Row(blockIdx.x) + c, a);
  LoadFloats<X, V>(x.Row(blockIdx.x) + c, b);
#pragma unroll
  for (int i = 0; i < V; ++i) a[i] += b[i];
  StoreFloats<float, V>(residual.Row(blockIdx.x) + c, a);
}

template <typename X, typename Y, int V>
__global__ void ScaleKernel(ScaleArgs args, Matrix<const X> x, Matrix<Y> y, int columns) {
  BeginKernel();
  const int c = Column<V>();
  if (c >= columns) return;
  float v[V];
  LoadFloats<X, V>(x.Row(blockIdx.x) + c, v);
#pragma unroll
  for (int i = 0; i < V; ++i) {
    v[i] *= args.factor;
    if (args.limit > 0.0f) v[i] = fminf(fmaxf(v[i], -args.limit), args.limit);
    if (args.softcap > 0.0f) v[i] = args.softcap * tanhf(v[i] / args.softcap);
  }
  StoreFloats<Y, V>(y.Row(blockIdx.x) + c, v);
}

template <typename T, int V>
__global__ void ActivateKernel(Activation kind, Matrix<const T> gate, Matrix<const T> up,
                               Matrix<T> y, int columns) {
  BeginKernel();
  const int c = Column<V>();
  if (c >= columns) return;
  float u[V];
  LoadFloats<T, V>(up.Row(blockIdx.x) + c, u);
  if (gate.data == nullptr) {
#pragma unroll
    for (int i = 0; i < V; ++i) u[i] = Activated(kind, u[i]);
  } else {
    float g[V];
    LoadFloats<T, V>(gate.Row(blockIdx.x) + c, g);
#pragma unroll
    for (int i = 0; i < V; ++i) u[i] *= Activated(kind, g[i]);
  }
  StoreFloats<T, V>(y.Row(blockIdx.x) + c, u);
}

template <typename T, int V>
__global__ void TakeRowsKernel(Matrix<const T> from, int64_t rows, const int* index,
                               Matrix<float> to, int columns) {
  BeginKernel();
  const int c = Column<V>();
  if (c >= columns) return;
  const int64_t row = index[blockIdx.x];
  float v[V];
  if (row >= 0 && row < rows) {
    LoadFloats<T, V>(from.Row(row) + c, v);
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) v[i] = nanf("");
  }
  StoreFloats<float, V>(to.Row(blockIdx.x) + c, v);
}

template <typename T>
__global__ void AddBiasKernel(Matrix<T> y, const float* bias, int columns) {
  BeginKernel();
  const int c = Column<1>();
  if (c >= columns) return;
  T* at = y.Row(blockIdx.x) + c;
  *at = FromFloat<T>(ToFloat(*at) + bias[c]);
}

template <typename A, typename B, int V>
__global__ void ConvertKernel(Matrix<const A> from, Matrix<B> to, int columns) {
  BeginKernel();
  const int c = Column<V>();
  if (c >= columns) return;
  float v[V];
  LoadFloats<A, V>(from.Row(blockIdx.x) + c, v);
  StoreFloats<B, V>(to.Row(blockIdx.x) + c, v);
}

template <typename T>
__global__ void AbsSumKernel(Matrix<const T> x, int64_t rows, int columns, float* sums) {
  BeginKernel();
  const int c = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (c >= columns) return;
  double sum = 0;
  for (int64_t r = 0; r < rows; ++r) sum += static_cast<double>(fabsf(ToFloat(x.Row(r)[c])));
  sums[c] += static_cast<float>(sum);
}

}  // namespace

void Add(const Queue& queue, const TensorView& residual, const TensorView& x) {
  if (x.NumElements() == 0) return;
  WithType(x.dtype, [&](auto tx) {
    using X = typename decltype(tx)::type;
    WithWidth(IsWide(x) && IsWide(residual), [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      Launch(queue, AddKernel<X, kWidth>, RowGrid(x.dim(0), x.dim(1), kWidth), kThreads, 0,
             AsMatrix<float>(residual), AsMatrix<const X>(x), static_cast<int>(x.dim(1)));
    });
  });
}

void Scale(const Queue& queue, const ScaleArgs& args, const TensorView& x, const TensorView& y) {
  if (x.NumElements() == 0) return;
  WithType(x.dtype, [&](auto tx) {
    using X = typename decltype(tx)::type;
    WithType(y.dtype, [&](auto ty) {
      using Y = typename decltype(ty)::type;
      WithWidth(IsWide(x) && IsWide(y), [&](auto width) {
        constexpr int kWidth = decltype(width)::value;
        Launch(queue, ScaleKernel<X, Y, kWidth>, RowGrid(x.dim(0), x.dim(1), kWidth), kThreads, 0,
               args, AsMatrix<const X>(x), AsMatrix<Y>(y), static_cast<int>(x.dim(1)));
      });
    });
  });
}

void Activate(const Queue& queue, Activation kind, const TensorView& gate, const TensorView& up,
              const TensorView& y) {
  if (up.NumElements() == 0) return;
  AWQ_CHECK((gate.empty() || gate.dtype == up.dtype) && y.dtype == up.dtype, kInternal,
            "activate: expected one type, found ", NameOf(up.dtype), " and ", NameOf(y.dtype));
  WithType(up.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithWidth(IsWide(gate) && IsWide(up) && IsWide(y), [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      Launch(queue, ActivateKernel<T, kWidth>, RowGrid(up.dim(0), up.dim(1), kWidth), kThreads, 0,
             kind, AsMatrix<const T>(gate), AsMatrix<const T>(up), AsMatrix<T>(y),
             static_cast<int>(up.dim(1)));
    });
  });
}

void TakeRows(const Queue& queue, const TensorView& from, const TensorView& rows,
              const TensorView& to) {
  if (to.NumElements() == 0) return;
  WithType(from.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithWidth(IsWide(from) && IsWide(to), [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      Launch(queue, TakeRowsKernel<T, kWidth>, RowGrid(to.dim(0), to.dim(1), kWidth), kThreads, 0,
             AsMatrix<const T>(from), from.dim(0), rows.As<const int>(), AsMatrix<float>(to),
             static_cast<int>(to.dim(1)));
    });
  });
}

void AddBias(const Queue& queue, const TensorView& y, const TensorView& bias) {
  WithType(y.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Launch(queue, AddBiasKernel<T>, RowGrid(y.dim(0), y.dim(1), 1), kThreads, 0, AsMatrix<T>(y),
           bias.As<const float>(), static_cast<int>(y.dim(1)));
  });
}

void Convert(const Queue& queue, const TensorView& from, const TensorView& to) {
  if (from.NumElements() == 0) return;
  WithType(from.dtype, [&](auto ta) {
    using A = typename decltype(ta)::type;
    WithType(to.dtype, [&](auto tb) {
      using B = typename decltype(tb)::type;
      WithWidth(IsWide(from) && IsWide(to), [&](auto width) {
        constexpr int kWidth = decltype(width)::value;
        Launch(queue, ConvertKernel<A, B, kWidth>, RowGrid(from.dim(0), from.dim(1), kWidth),
               kThreads, 0, AsMatrix<const A>(from), AsMatrix<B>(to),
               static_cast<int>(from.dim(1)));
      });
    });
  });
}

void AbsSum(const Queue& queue, const TensorView& x, const TensorView& sums) {
  const int columns = static_cast<int>(x.dim(1));
  WithType(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Launch(queue, AbsSumKernel<T>, Blocks(columns, kThreads), kThreads, 0, AsMatrix<const T>(x),
           x.dim(0), columns, sums.As<float>());
  });
}

}  // namespace awq::cuda
