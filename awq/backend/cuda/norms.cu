// Norms of rows, alone, of a sum, and of a sum of which one part is normed too.
#include <algorithm>
#include <type_traits>

#include "awq/backend/cuda/row_access.cuh"
#include "awq/backend/cuda/rows.h"

namespace awq::cuda {
namespace {

constexpr int kRowThreads = 1024;  // at most
// Rows of at most so many threads are short (6144 columns): their kernels are held to 40 registers,
// so that two of the longest or three of 448 threads are on an SM at once, and more bytes on their
// way. An SM of sm_75 takes 1024 threads.
constexpr int kShortThreads = 768;
constexpr int kShortBlocks = AWQ_SM80 ? 2 : 1;
constexpr int64_t kManyRows = 256;  // few are a block an SM, which is faster with registers

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

// Of a row of so many columns, by this thread's share of the sum of its squares.
__device__ float InverseRoot(float squares, int columns, float epsilon) {
  return 1.0f / sqrtf(BlockSum(squares) / static_cast<float>(columns) + epsilon);
}

// One block a row. With X2, x is first increased by x2, and stored. kShort: V columns a thread.
template <typename X, typename X2, typename Y, int V, bool kShort>
__global__ void __launch_bounds__(kShort ? kShortThreads : kRowThreads, kShort ? kShortBlocks : 1)
    NormKernel(RowsOf<X> x, RowsOf<const X2> x2, const float* weight, const float* bias,
               RowsOf<Y> y, int columns, float epsilon, bool centre) {
  const int at = static_cast<int>(blockIdx.x);
  X* row = x.Row(at);
  Y* out = y.Row(at);
  const int first = static_cast<int>(threadIdx.x) * V;
  const int step = static_cast<int>(blockDim.x) * V;
  // This thread's first columns stay in registers, longer rows are read again; weights are there
  // before the previous kernel has ended.
  constexpr int kHeld = kShort || V == 1 ? 1 : 2;
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
  for (int c = first + kHeld * step; !kShort && c < columns; c += step) {
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
  const float inverse = InverseRoot(squares, columns, epsilon);
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
  for (int c = first + kHeld * step; !kShort && c < columns; c += step) {
    float v[V];
    float s[V];
    LoadFloats<X, V>(row + c, v);
    LoadFloats<float, V>(weight + c, s);
    write(c, v, s);
  }
}

struct RmsWeights {
  const float* weight;
  float epsilon;
};

// residual += norm of x by `post`, rounded as a tensor of T is; y = norm of the sum by `next`. One
// block a row, V columns a thread; sums are in NormKernel's order, so that results are those of
// Norm and AddNorm. Weights of `next` wait in L2: registers that they took would cost a block an
// SM.
template <typename T, int V>
__global__ void __launch_bounds__(kShortThreads, kShortBlocks)
    NormAddNormKernel(Matrix<float> residual, Matrix<const T> x, RmsWeights post, RmsWeights next,
                      Matrix<T> y, int columns) {
  const auto at = static_cast<int>(blockIdx.x);
  const int first = static_cast<int>(threadIdx.x) * V;
  const bool mine = first < columns;
  float v[V] = {};
  float sum[V] = {};
  float scale[V] = {};
  AllowNextKernel();
  if (mine) {
    LoadFloats<float, V>(post.weight + first, scale);
    Prefetch(next.weight + first);
  }
  WaitForPreviousKernel();
  if (mine) {
    LoadFloats<T, V>(x.Row(at) + first, v);
    LoadFloats<float, V>(residual.Row(at) + first, sum);
  }
  const auto inverse = [&](const float(&values)[V], float epsilon) {
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < V; ++i) squares += values[i] * values[i];
    return InverseRoot(squares, columns, epsilon);
  };
  const float to_post = inverse(v, post.epsilon);
#pragma unroll
  for (int i = 0; i < V; ++i) {
    sum[i] += ToFloat(FromFloat<T>(__fmul_rn(v[i] * to_post, scale[i])));  // no multiply-add of F32
  }
  if (mine) {
    StoreFloats<float, V>(residual.Row(at) + first, sum);
    LoadFloats<float, V>(next.weight + first, scale);  // which are there before the sum is
  }
  const float to_next = inverse(sum, next.epsilon);
#pragma unroll
  for (int i = 0; i < V; ++i) v[i] = sum[i] * to_next * scale[i];
  if (mine) StoreFloats<T, V>(y.Row(at) + first, v);
}

// Threads that go through a row.
int RowThreads(int columns, int width) {
  return std::clamp((columns / width + 31) / 32 * 32, 32, kRowThreads);
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
        const int threads = RowThreads(columns, kWidth);
        const auto run = [&](auto t2, auto is_short) {
          using X2 = typename decltype(t2)::type;
          const RowsOf<const X2> more = x2.empty() ? RowsOf<const X2>{} : AsRows<const X2>(x2);
          Launch(queue, NormKernel<X, X2, Y, kWidth, decltype(is_short)::value>,
                 static_cast<unsigned>(rows), threads, 0, AsRows<X>(x), more,
                 weight.As<const float>(), bias.As<const float>(), AsRows<Y>(y), columns,
                 args.epsilon, args.kind == NormKind::kLayer);
        };
        const auto run_length = [&](auto t2) {
          if constexpr (kWidth > 1) {
            const bool is_short = threads <= kShortThreads && rows >= kManyRows;
            if (is_short) return run(t2, std::true_type());
          }
          run(t2, std::false_type());
        };
        if (!x2.empty() && x2.dtype == DType::kF32) return run_length(Type<float>());
        return run_length(Type<Y>());
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

bool NormAddNorm(const Queue& queue, const PostNorm& post, const NormArgs& args,
                 const TensorView& residual, const TensorView& x, const TensorView& weight,
                 const TensorView& bias, const TensorView& y) {
  const int64_t columns = x.dim(1);
  const bool wide =
      IsWide(residual) && IsWide(x) && IsWide(y) && IsWide(post.weight) && IsWide(weight);
  const bool plain = post.args.kind == NormKind::kRms && args.kind == NormKind::kRms &&
                     post.bias.empty() && bias.empty();
  if (!plain || x.dtype != y.dtype || columns > kShortThreads * (wide ? kWide : 1)) return false;
  if (x.dim(0) == 0) return true;
  WithType(x.dtype, [&](auto tx) {
    using T = typename decltype(tx)::type;
    WithWidth(wide, [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      const auto n = static_cast<int>(columns);
      Launch(queue, NormAddNormKernel<T, kWidth>, static_cast<unsigned>(x.dim(0)),
             RowThreads(n, kWidth), 0, AsMatrix<float>(residual), AsMatrix<const T>(x),
             RmsWeights{post.weight.As<const float>(), post.args.epsilon},
             RmsWeights{weight.As<const float>(), args.epsilon}, AsMatrix<T>(y), n);
    });
  });
  return true;
}

}  // namespace awq::cuda
