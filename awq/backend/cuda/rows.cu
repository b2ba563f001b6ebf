#include "awq/backend/cuda/rows.h"

#include <algorithm>
#include <type_traits>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/numeric.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWide = 8;  // elements a thread at once, where rows allow it

unsigned Blocks(int64_t count, int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

// Whether all rows begin at a multiple of eight elements and hold a multiple of eight.
bool IsWide(const TensorView& t) {
  if (t.empty()) return true;
  const int64_t unit = kWide * BitsOf(t.dtype) / 8;
  bool wide = t.dim(t.rank() - 1) % kWide == 0 && reinterpret_cast<uintptr_t>(t.data) % unit == 0;
  for (int i = 0; i + 1 < t.rank(); ++i) wide = wide && t.strides[i] % kWide == 0;
  return wide;
}

// A matrix as kernels see it.
template <typename T>
struct Matrix {
  T* data;
  int64_t stride;
  __device__ T* Row(int64_t row) const { return data + row * stride; }
};
template <typename T>
Matrix<T> AsMatrix(const TensorView& t) {
  return {static_cast<T*>(t.data), t.empty() ? 0 : t.strides[0]};
}

// Calls f with an int constant 8 or 1.
template <typename F>
void WithWidth(bool wide, F&& f) {
  if (wide) {
    f(std::integral_constant<int, kWide>());
  } else {
    f(std::integral_constant<int, 1>());
  }
}

__device__ float BlockSum(float v) {
  __shared__ float parts[32];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(~0u, v, step);
  __syncthreads();
  if (lane == 0) parts[warp] = v;
  __syncthreads();
  v = lane < static_cast<int>(blockDim.x) / 32 ? parts[lane] : 0.0f;
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(~0u, v, step);
  return v;
}

// One block a row.
template <typename X, typename Y, int V>
__global__ void NormKernel(Matrix<const X> x, const float* weight, const float* bias, Matrix<Y> y,
                           int columns, float epsilon, bool centre) {
  const X* row = x.Row(blockIdx.x);
  Y* out = y.Row(blockIdx.x);
  const int step = static_cast<int>(blockDim.x) * V;
  float mean = 0.0f;
  if (centre) {
    for (int c = static_cast<int>(threadIdx.x) * V; c < columns; c += step) {
      float v[V];
      LoadFloats<X, V>(row + c, v);
#pragma unroll
      for (int i = 0; i < V; ++i) mean += v[i];
    }
    mean = BlockSum(mean) / static_cast<float>(columns);
  }
  float squares = 0.0f;
  for (int c = static_cast<int>(threadIdx.x) * V; c < columns; c += step) {
    float v[V];
    LoadFloats<X, V>(row + c, v);
#pragma unroll
    for (int i = 0; i < V; ++i) squares += (v[i] - mean) * (v[i] - mean);
  }
  const float inverse = 1.0f / sqrtf(BlockSum(squares) / static_cast<float>(columns) + epsilon);
  for (int c = static_cast<int>(threadIdx.x) * V; c < columns; c += step) {
    float v[V];
    LoadFloats<X, V>(row + c, v);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      v[i] = (v[i] - mean) * inverse * weight[c + i] + (bias == nullptr ? 0.0f : bias[c + i]);
    }
    StoreFloats<Y, V>(out + c, v);
  }
}

// Thread i of a row's blocks: V columns.
template <int V>
__device__ int Column() {
  return (static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x)) * V;
}
dim3 RowGrid(int64_t rows, int64_t columns, int width) {
  return dim3(static_cast<unsigned>(rows), Blocks(columns, kThreads * width));
}

template <typename X, int V>
__global__ void AddKernel(Matrix<float> residual, Matrix<const X> x, int columns) {
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

__device__ float Activated(Activation kind, float x) {
  switch (kind) {
    case Activation::kSilu:
      return x / (1.0f + expf(-x));
    case Activation::kGelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case Activation::kRelu:
      return fmaxf(x, 0.0f);
  }
  return x;
}

template <typename T, int V>
__global__ void ActivateKernel(Activation kind, Matrix<const T> gate, Matrix<const T> up,
                               Matrix<T> y, int columns) {
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

// One block a token; a thread turns the same pair of every head that is its turn.
template <typename T>
__global__ void RopeKernel(const float* inverse_frequencies, int half, bool interleaved,
                           float magnitude, const int* positions, T* x, int64_t token_stride,
                           int heads, int d) {
  const auto position = static_cast<float>(positions[blockIdx.x]);
  T* token = x + blockIdx.x * token_stride;
  for (int j = static_cast<int>(threadIdx.x); j < heads * half; j += static_cast<int>(blockDim.x)) {
    const int i = j % half;
    float s;
    float c;
    // The angle is rounded to f32, as the models were trained with.
    sincosf(position * inverse_frequencies[i], &s, &c);
    T* first = token + j / half * d + (interleaved ? 2 * i : i);
    T* second = interleaved ? first + 1 : first + half;
    const float a = ToFloat(*first);
    const float b = ToFloat(*second);
    *first = FromFloat<T>((a * c - b * s) * magnitude);
    *second = FromFloat<T>((b * c + a * s) * magnitude);
  }
}

struct KvPlace {
  const int* seq_start;
  const int* kv_len;
  const int* table;
  int64_t table_stride;
  int sequences, page_size, kv_heads;
};

// One block a token.
template <typename T, typename C, int V>
__global__ void KvWriteKernel(KvPlace place, const T* k, int64_t k_stride, const T* v,
                              int64_t v_stride, C* keys, C* values, int d) {
  const int t = static_cast<int>(blockIdx.x);
  int low = 0;  // the sequence of t: the last that starts at or before it
  int high = place.sequences - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (place.seq_start[middle] <= t) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  const int position = place.kv_len[low] - (place.seq_start[low + 1] - t);
  const int page = place.table[low * place.table_stride + position / place.page_size];
  const int slot = position % place.page_size;
  for (int j = static_cast<int>(threadIdx.x) * V; j < place.kv_heads * d;
       j += static_cast<int>(blockDim.x) * V) {
    const int64_t to =
        ((int64_t{page} * place.kv_heads + j / d) * place.page_size + slot) * d + j % d;
    float value[V];
    LoadFloats<T, V>(k + t * k_stride + j, value);
    StoreFloats<C, V>(keys + to, value);
    LoadFloats<T, V>(v + t * v_stride + j, value);
    StoreFloats<C, V>(values + to, value);
  }
}

template <typename T, int V>
__global__ void TakeRowsKernel(Matrix<const T> from, int64_t rows, const int* index,
                               Matrix<float> to, int columns) {
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
  const int c = Column<1>();
  if (c >= columns) return;
  T* at = y.Row(blockIdx.x) + c;
  *at = FromFloat<T>(ToFloat(*at) + bias[c]);
}

template <typename A, typename B, int V>
__global__ void ConvertKernel(Matrix<const A> from, Matrix<B> to, int columns) {
  const int c = Column<V>();
  if (c >= columns) return;
  float v[V];
  LoadFloats<A, V>(from.Row(blockIdx.x) + c, v);
  StoreFloats<B, V>(to.Row(blockIdx.x) + c, v);
}

template <typename T>
__global__ void AbsSumKernel(Matrix<const T> x, int64_t rows, int columns, float* sums) {
  const int c = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (c >= columns) return;
  double sum = 0;
  for (int64_t r = 0; r < rows; ++r) sum += static_cast<double>(fabsf(ToFloat(x.Row(r)[c])));
  sums[c] += static_cast<float>(sum);
}

void CheckLaunch() { AWQ_CUDA(cudaGetLastError()); }

}  // namespace

void Norm(cudaStream_t stream, const NormArgs& args, const TensorView& x, const TensorView& weight,
          const TensorView& bias, const TensorView& y) {
  if (x.dim(0) == 0) return;
  const int columns = static_cast<int>(x.dim(1));
  WithType(x.dtype, [&](auto tx) {
    using X = typename decltype(tx)::type;
    WithType(y.dtype, [&](auto ty) {
      using Y = typename decltype(ty)::type;
      WithWidth(IsWide(x) && IsWide(y), [&](auto width) {
        constexpr int kWidth = decltype(width)::value;
        const int threads = std::clamp((columns / kWidth + 31) / 32 * 32, 32, 1024);
        NormKernel<X, Y, kWidth><<<static_cast<unsigned>(x.dim(0)), threads, 0, stream>>>(
            AsMatrix<const X>(x), weight.As<const float>(), bias.As<const float>(), AsMatrix<Y>(y),
            columns, args.epsilon, args.kind == NormKind::kLayer);
      });
    });
  });
  CheckLaunch();
}

void Add(cudaStream_t stream, const TensorView& residual, const TensorView& x) {
  if (x.NumElements() == 0) return;
  WithType(x.dtype, [&](auto tx) {
    using X = typename decltype(tx)::type;
    WithWidth(IsWide(x) && IsWide(residual), [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      AddKernel<X, kWidth><<<RowGrid(x.dim(0), x.dim(1), kWidth), kThreads, 0, stream>>>(
          AsMatrix<float>(residual), AsMatrix<const X>(x), static_cast<int>(x.dim(1)));
    });
  });
  CheckLaunch();
}

void Rope(cudaStream_t stream, const RopeArgs& args, const TensorView& positions,
          const TensorView& x) {
  const int half = static_cast<int>(args.inverse_frequencies.dim(0));
  if (x.NumElements() == 0 || half == 0) return;
  WithType(x.dtype, [&](auto tx) {
    using X = typename decltype(tx)::type;
    RopeKernel<X><<<static_cast<unsigned>(x.dim(0)), kThreads, 0, stream>>>(
        args.inverse_frequencies.As<const float>(), half, args.interleaved, args.magnitude,
        positions.As<const int>(), x.As<X>(), x.strides[0], static_cast<int>(x.dim(1)),
        static_cast<int>(x.dim(2)));
  });
  CheckLaunch();
}

void Activate(cudaStream_t stream, Activation kind, const TensorView& gate, const TensorView& up,
              const TensorView& y) {
  if (up.NumElements() == 0) return;
  AWQ_CHECK((gate.empty() || gate.dtype == up.dtype) && y.dtype == up.dtype, kInternal,
            "activate: expected one type, found ", NameOf(up.dtype), " and ", NameOf(y.dtype));
  WithType(up.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithWidth(IsWide(gate) && IsWide(up) && IsWide(y), [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      ActivateKernel<T, kWidth><<<RowGrid(up.dim(0), up.dim(1), kWidth), kThreads, 0, stream>>>(
          kind, AsMatrix<const T>(gate), AsMatrix<const T>(up), AsMatrix<T>(y),
          static_cast<int>(up.dim(1)));
    });
  });
  CheckLaunch();
}

void KvWrite(cudaStream_t stream, const Batch& batch, const TensorView& k, const TensorView& v,
             const PagedKv& cache) {
  if (k.NumElements() == 0) return;
  const KvPlace place = {.seq_start = batch.seq_start.As<const int>(),
                         .kv_len = batch.kv_len.As<const int>(),
                         .table = batch.block_table.As<const int>(),
                         .table_stride = batch.block_table.strides[0],
                         .sequences = static_cast<int>(batch.num_seqs()),
                         .page_size = static_cast<int>(cache.page_size()),
                         .kv_heads = static_cast<int>(cache.kv_heads())};
  AWQ_CHECK(k.dtype == v.dtype, kInternal, "kv_write: k is ", NameOf(k.dtype), ", v is ",
            NameOf(v.dtype));
  WithType(k.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithType(cache.keys.dtype, [&](auto cached) {
      using C = typename decltype(cached)::type;
      WithWidth(IsWide(k) && IsWide(v) && IsWide(cache.keys) && IsWide(cache.values),
                [&](auto width) {
                  constexpr int kWidth = decltype(width)::value;
                  KvWriteKernel<T, C, kWidth><<<static_cast<unsigned>(k.dim(0)), 128, 0, stream>>>(
                      place, k.As<const T>(), k.strides[0], v.As<const T>(), v.strides[0],
                      cache.keys.As<C>(), cache.values.As<C>(), static_cast<int>(k.dim(2)));
                });
    });
  });
  CheckLaunch();
}

void TakeRows(cudaStream_t stream, const TensorView& from, const TensorView& rows,
              const TensorView& to) {
  if (to.NumElements() == 0) return;
  WithType(from.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithWidth(IsWide(from) && IsWide(to), [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      TakeRowsKernel<T, kWidth><<<RowGrid(to.dim(0), to.dim(1), kWidth), kThreads, 0, stream>>>(
          AsMatrix<const T>(from), from.dim(0), rows.As<const int>(), AsMatrix<float>(to),
          static_cast<int>(to.dim(1)));
    });
  });
  CheckLaunch();
}

void AddBias(cudaStream_t stream, const TensorView& y, const TensorView& bias) {
  WithType(y.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    AddBiasKernel<T><<<RowGrid(y.dim(0), y.dim(1), 1), kThreads, 0, stream>>>(
        AsMatrix<T>(y), bias.As<const float>(), static_cast<int>(y.dim(1)));
  });
  CheckLaunch();
}

void Convert(cudaStream_t stream, const TensorView& from, const TensorView& to) {
  if (from.NumElements() == 0) return;
  WithType(from.dtype, [&](auto ta) {
    using A = typename decltype(ta)::type;
    WithType(to.dtype, [&](auto tb) {
      using B = typename decltype(tb)::type;
      WithWidth(IsWide(from) && IsWide(to), [&](auto width) {
        constexpr int kWidth = decltype(width)::value;
        ConvertKernel<A, B, kWidth>
            <<<RowGrid(from.dim(0), from.dim(1), kWidth), kThreads, 0, stream>>>(
                AsMatrix<const A>(from), AsMatrix<B>(to), static_cast<int>(from.dim(1)));
      });
    });
  });
  CheckLaunch();
}

void AbsSum(cudaStream_t stream, const TensorView& x, const TensorView& sums) {
  const int columns = static_cast<int>(x.dim(1));
  WithType(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    AbsSumKernel<T><<<Blocks(columns, kThreads), kThreads, 0, stream>>>(
        AsMatrix<const T>(x), x.dim(0), columns, sums.As<float>());
  });
  CheckLaunch();
}

}  // namespace awq::cuda
