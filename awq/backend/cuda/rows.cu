#include "awq/backend/cuda/rows.h"

#include <algorithm>
#include <climits>
#include <type_traits>

#include "awq/backend/cuda/cluster.cuh"
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

// A row's largest logit: a cluster of blocks, or one (grid: blocks of a row, rows).
__global__ void __launch_bounds__(1024)
    ArgMaxKernel(Matrix<const float> logits, int columns, int* ids) {
  AllowNextKernel();
  __shared__ float values[33];  // of the warps, then of the block
  __shared__ int places[33];
  __shared__ int bad;
  const int thread = static_cast<int>(threadIdx.x);
  const int blocks = static_cast<int>(gridDim.x);
  if (thread == 0) bad = 0;
  __syncthreads();
  WaitForPreviousKernel();
  const float* row = logits.Row(blockIdx.y);
  float best = -INFINITY;
  int place = INT_MAX;
  const auto take = [&](float v, int p) {
    if (v > best || (v == best && p < place)) {
      best = v;
      place = p;
    }
  };
  constexpr int kAtOnce = 8;  // loads in flight
  const int step = static_cast<int>(blockDim.x) * blocks;
  for (int c = static_cast<int>(blockIdx.x * blockDim.x) + thread; c < columns;
       c += kAtOnce * step) {
    float v[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int at = c + i * step;
      v[i] = at < columns ? row[at] : -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (!(v[i] < INFINITY)) bad = 1;
      if (v[i] > best) {
        best = v[i];
        place = c + i * step;
      }
    }
  }
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    take(__shfl_xor_sync(~0u, best, lanes), __shfl_xor_sync(~0u, place, lanes));
  }
  if (thread % 32 == 0) {
    values[thread / 32] = best;
    places[thread / 32] = place;
  }
  __syncthreads();
  if (thread == 0) {
    for (int w = 1; w < static_cast<int>(blockDim.x) / 32; ++w) take(values[w], places[w]);
    values[32] = best;
    places[32] = place;
  }
  if (blocks > 1) {
    __syncwarp();
    ClusterSync();
    if (thread == 0 && blockIdx.x == 0) {
      for (int b = 1; b < blocks; ++b) {
        const auto rank = static_cast<uint32_t>(b);
        take(ClusterLoad(SharedAddress(&values[32]), rank),
             static_cast<int>(ClusterLoadWord(SharedAddress(&places[32]), rank)));
        bad |= static_cast<int>(ClusterLoadWord(SharedAddress(&bad), rank));
      }
    }
    __syncwarp();
    ClusterSync();  // nobody's shared memory goes before it has been read
  }
  if (thread == 0 && blockIdx.x == 0) {
    ids[blockIdx.y] = bad != 0 || place == INT_MAX ? -1 : place;
  }
}

// One block.
__global__ void AdvanceKernel(const int* ids, int rows, int* next, int* record, int slots,
                              int* tokens, int* positions, int* kv_len) {
  BeginKernel();
  const int slot = *next;
  __syncthreads();
  if (threadIdx.x == 0) *next = (slot + 1) % slots;
  int* to = record + static_cast<int64_t>(slot) * rows;
  for (int r = static_cast<int>(threadIdx.x); r < rows; r += static_cast<int>(blockDim.x)) {
    tokens[r] = to[r] = ids[r];
    ++positions[r];
    ++kv_len[r];
  }
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

void ArgMax(const Queue& queue, const TensorView& logits, const TensorView& ids) {
  if (logits.dim(0) == 0) return;
  // Enough blocks a row for the memory to be busy, where clusters are known.
  const unsigned blocks = queue.overlap && logits.dim(1) > 16384 ? 8 : 1;
  LaunchClusters(queue, ArgMaxKernel, dim3(blocks, static_cast<unsigned>(logits.dim(0))),
                 dim3(blocks), 1024, 0, AsMatrix<const float>(logits),
                 static_cast<int>(logits.dim(1)), ids.As<int>());
}

void Advance(const Queue& queue, const AdvanceArgs& args, const TensorView& ids) {
  const int rows = static_cast<int>(ids.NumElements());
  Launch(queue, AdvanceKernel, 1, kThreads, 0, ids.As<const int>(), rows, args.next.As<int>(),
         args.record.As<int>(), static_cast<int>(args.record.dim(0)), args.tokens.As<int>(),
         args.positions.As<int>(), args.kv_len.As<int>());
}

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
