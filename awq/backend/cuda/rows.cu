#include "awq/backend/cuda/rows.h"

#include <algorithm>
#include <climits>
#include <type_traits>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

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

// One block a token; a thread turns the same pair of every head that is its turn.
template <typename T>
__global__ void RopeKernel(const float* inverse_frequencies, int half, bool interleaved,
                           float magnitude, const int* positions, T* x, int64_t token_stride,
                           int heads, int d) {
  BeginKernel();
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

// Where a token's keys and values lie.
struct KvRow {
  int64_t page;
  int slot;
  __device__ int64_t Element(const KvPlace& place, int g, int d) const {
    return ((page * place.kv_heads + g) * place.page_size + slot) * d;
  }
};
__device__ KvRow FindRow(const KvPlace& place, int t) {
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
  return {place.table[low * place.table_stride + position / place.page_size],
          position % place.page_size};
}

template <typename T>
struct QkvRows {
  T* q;
  const T* k;
  const T* v;
  int64_t q_stride, k_stride, v_stride;
};

// Thread: two pairs of elements of a head of a token; heads are those of q, then k, then v.
template <typename T, typename C>
__global__ void RopeKvWriteKernel(const float* inverse_frequencies, int half, bool interleaved,
                                  float magnitude, const int* positions, int heads, KvPlace place,
                                  QkvRows<T> x, C* keys, C* values, int d) {
  AllowNextKernel();
  const int t = static_cast<int>(blockIdx.x);
  const int item = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  const int head = item / (d / 4);
  const int i = item % (d / 4) * 2;  // the first pair
  if (head >= heads + 2 * place.kv_heads) return;
  const bool turned = head < heads + place.kv_heads && i < half;
  const bool apart = turned && !interleaved;  // the elements of a pair
  const int first = apart ? i : 2 * i;
  const int second = apart ? first + half : first + 2;
  const int g = (head - heads) % place.kv_heads;
  const T* from = head < heads                    ? x.q + t * x.q_stride + head * d
                  : head < heads + place.kv_heads ? x.k + t * x.k_stride + g * d
                                                  : x.v + t * x.v_stride + g * d;
  float s[2] = {};
  float c[2] = {1.0f, 1.0f};
  if (turned) {
    const auto position = static_cast<float>(positions[t]);
    sincosf(position * inverse_frequencies[i], &s[0], &c[0]);
    sincosf(position * inverse_frequencies[i + 1], &s[1], &c[1]);
  }
  const KvRow row = FindRow(place, t);
  WaitForPreviousKernel();
  float a[2];
  float b[2];
  LoadFloats<T, 2>(from + first, a);
  LoadFloats<T, 2>(from + second, b);
  if (turned) {
    float& y0 = interleaved ? a[1] : b[0];  // of the first pair
    float& x1 = interleaved ? b[0] : a[1];  // of the second
    const float x0 = (a[0] * c[0] - y0 * s[0]) * magnitude;
    y0 = (y0 * c[0] + a[0] * s[0]) * magnitude;
    a[0] = x0;
    const float turned_x1 = (x1 * c[1] - b[1] * s[1]) * magnitude;
    b[1] = (b[1] * c[1] + x1 * s[1]) * magnitude;
    x1 = turned_x1;
  }
  if (head < heads) {
    if (!turned) return;
    T* to = x.q + t * x.q_stride + head * d;
    StoreFloats<T, 2>(to + first, a);
    StoreFloats<T, 2>(to + second, b);
    return;
  }
  C* to = (head < heads + place.kv_heads ? keys : values) + row.Element(place, g, d);
  StoreFloats<C, 2>(to + first, a);
  StoreFloats<C, 2>(to + second, b);
}

// One block a token.
template <typename T, typename C, int V>
__global__ void KvWriteKernel(KvPlace place, const T* k, int64_t k_stride, const T* v,
                              int64_t v_stride, C* keys, C* values, int d) {
  BeginKernel();
  const int t = static_cast<int>(blockIdx.x);
  const KvRow at = FindRow(place, t);
  for (int j = static_cast<int>(threadIdx.x) * V; j < place.kv_heads * d;
       j += static_cast<int>(blockDim.x) * V) {
    const int64_t to = at.Element(place, j / d, d) + j % d;
    float value[V];
    LoadFloats<T, V>(k + t * k_stride + j, value);
    StoreFloats<C, V>(keys + to, value);
    if (v == nullptr) continue;
    LoadFloats<T, V>(v + t * v_stride + j, value);
    StoreFloats<C, V>(values + to, value);
  }
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

// One block a row.
__global__ void ArgMaxKernel(Matrix<const float> logits, int columns, int* ids) {
  BeginKernel();
  __shared__ float values[32];
  __shared__ int places[32];
  __shared__ int bad;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) bad = 0;
  __syncthreads();
  const float* row = logits.Row(blockIdx.x);
  float best = -INFINITY;
  int place = INT_MAX;
  constexpr int kAtOnce = 8;  // loads in flight
  for (int c = thread; c < columns; c += kAtOnce * static_cast<int>(blockDim.x)) {
    float v[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int at = c + i * static_cast<int>(blockDim.x);
      v[i] = at < columns ? row[at] : -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (!(v[i] < INFINITY)) bad = 1;
      if (v[i] > best) {
        best = v[i];
        place = c + i * static_cast<int>(blockDim.x);
      }
    }
  }
  const auto take = [&](float v, int p) {
    if (v > best || (v == best && p < place)) {
      best = v;
      place = p;
    }
  };
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    take(__shfl_xor_sync(~0u, best, step), __shfl_xor_sync(~0u, place, step));
  }
  if (thread % 32 == 0) {
    values[thread / 32] = best;
    places[thread / 32] = place;
  }
  __syncthreads();
  if (thread != 0) return;
  for (int w = 1; w < static_cast<int>(blockDim.x) / 32; ++w) take(values[w], places[w]);
  ids[blockIdx.x] = bad != 0 || place == INT_MAX ? -1 : place;
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

namespace {

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

void ArgMax(const Queue& queue, const TensorView& logits, const TensorView& ids) {
  if (logits.dim(0) == 0) return;
  Launch(queue, ArgMaxKernel, static_cast<unsigned>(logits.dim(0)), 1024, 0,
         AsMatrix<const float>(logits), static_cast<int>(logits.dim(1)), ids.As<int>());
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

void Rope(const Queue& queue, const RopeArgs& args, const TensorView& positions,
          const TensorView& x) {
  const int half = static_cast<int>(args.inverse_frequencies.dim(0));
  if (x.NumElements() == 0 || half == 0) return;
  WithType(x.dtype, [&](auto tx) {
    using X = typename decltype(tx)::type;
    Launch(queue, RopeKernel<X>, static_cast<unsigned>(x.dim(0)), kThreads, 0,
           args.inverse_frequencies.As<const float>(), half, args.interleaved, args.magnitude,
           positions.As<const int>(), x.As<X>(), x.strides[0], static_cast<int>(x.dim(1)),
           static_cast<int>(x.dim(2)));
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

namespace {

KvPlace PlaceOf(const Batch& batch, const PagedKv& cache) {
  return {.seq_start = batch.seq_start.As<const int>(),
          .kv_len = batch.kv_len.As<const int>(),
          .table = batch.block_table.As<const int>(),
          .table_stride = batch.block_table.strides[0],
          .sequences = static_cast<int>(batch.num_seqs()),
          .page_size = static_cast<int>(cache.page_size()),
          .kv_heads = static_cast<int>(cache.kv_heads())};
}

}  // namespace

void KvWrite(const Queue& queue, const Batch& batch, const TensorView& k, const TensorView& v,
             const PagedKv& cache) {
  if (k.NumElements() == 0) return;
  AWQ_CHECK(v.empty() || k.dtype == v.dtype, kInternal, "kv_write: k is ", NameOf(k.dtype),
            ", v is ", NameOf(v.dtype));
  const bool wide = IsWide(k) && IsWide(v) && IsWide(cache.keys) && IsWide(cache.values);
  WithType(k.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithType(cache.keys.dtype, [&](auto cached) {
      using C = typename decltype(cached)::type;
      WithWidth(wide, [&](auto width) {
        constexpr int kWidth = decltype(width)::value;
        Launch(queue, KvWriteKernel<T, C, kWidth>, static_cast<unsigned>(k.dim(0)), 128, 0,
               PlaceOf(batch, cache), k.As<const T>(), k.strides[0], v.As<const T>(),
               v.empty() ? int64_t{0} : v.strides[0], cache.keys.As<C>(), cache.values.As<C>(),
               static_cast<int>(k.dim(2)));
      });
    });
  });
}

void RopeKvWrite(const Queue& queue, const RopeArgs& args, const Batch& batch, const TensorView& q,
                 const TensorView& k, const TensorView& v, const PagedKv& cache) {
  const int64_t d = q.dim(2);
  const int64_t half = args.inverse_frequencies.dim(0);
  const auto even = [](const TensorView& x) {
    return x.strides[0] % 2 == 0 && reinterpret_cast<uintptr_t>(x.data) % 8 == 0;
  };
  if (q.dtype != k.dtype || q.dtype != v.dtype || d % 4 != 0 || half % 2 != 0 || !even(q) ||
      !even(k) || !even(v)) {
    Rope(queue, args, batch.positions, q);
    Rope(queue, args, batch.positions, k);
    KvWrite(queue, batch, k, v, cache);
    return;
  }
  if (q.NumElements() == 0) return;
  const int64_t items = (q.dim(1) + 2 * k.dim(1)) * (d / 4);
  WithType(q.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithType(cache.keys.dtype, [&](auto cached) {
      using C = typename decltype(cached)::type;
      Launch(queue, RopeKvWriteKernel<T, C>, RowGrid(q.dim(0), items, 1), kThreads, 0,
             args.inverse_frequencies.As<const float>(), static_cast<int>(half), args.interleaved,
             args.magnitude, batch.positions.As<const int>(), static_cast<int>(q.dim(1)),
             PlaceOf(batch, cache),
             QkvRows<T>{q.As<T>(), k.As<const T>(), v.As<const T>(), q.strides[0], k.strides[0],
                        v.strides[0]},
             cache.keys.As<C>(), cache.values.As<C>(), static_cast<int>(d));
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
