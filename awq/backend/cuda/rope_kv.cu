// Rotation of queries and keys, and storing of keys and values in their pages.
#include <algorithm>

#include "awq/backend/cuda/row_access.cuh"
#include "awq/backend/cuda/rows.h"

namespace awq::cuda {
namespace {

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
  // Where each has one row, it is number t: no search, each of whose steps waits for memory.
  if (t <= high && place.seq_start[t] == t && place.seq_start[t + 1] == t + 1) low = high = t;
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

// So small that blocks find room beside the product that makes q, k and v, which leaves 4096
// registers of an SM (docs/kernels.md).
constexpr int kRopeThreads = 64;

struct HeadNormWeights {
  const float *q, *k;
  float epsilon;
};

// Thread: two pairs of elements of a head of a token; heads are those of q, then k, then v.
// kNormLanes: of a head, whose q and k are normed; or 0.
template <typename T, typename C, int kNormLanes>
__global__ void __launch_bounds__(kRopeThreads)
    RopeKvWriteKernel(HeadNormWeights norms, const float* inverse_frequencies, int half,
                      bool interleaved, float magnitude, const int* positions, int heads,
                      KvPlace place, QkvRows<T> x, C* keys, C* values, int d) {
  AllowNextKernel();
  const int t = static_cast<int>(blockIdx.x);
  const int item = static_cast<int>(blockIdx.y) * kRopeThreads + static_cast<int>(threadIdx.x);
  const int all_heads = heads + 2 * place.kv_heads;
  const bool beyond = item / (d / 4) >= all_heads;
  if (kNormLanes == 0 && beyond) return;
  const int head = min(item / (d / 4), all_heads - 1);
  const int i = item % (d / 4) * 2;  // the first pair
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
  float weights[2][2] = {{1.0f, 1.0f}, {1.0f, 1.0f}};
  const bool normed = kNormLanes > 0 && head < heads + place.kv_heads;
  if (normed) {
    const float* w = head < heads ? norms.q : norms.k;
    LoadFloats<float, 2>(w + first, weights[0]);
    LoadFloats<float, 2>(w + second, weights[1]);
  }
  const KvRow row = FindRow(place, t);
  WaitForPreviousKernel();
  float a[2];
  float b[2];
  LoadFloats<T, 2>(from + first, a);
  LoadFloats<T, 2>(from + second, b);
  if constexpr (kNormLanes > 0) {
    const float squares =
        WarpSum<kNormLanes>(a[0] * a[0] + a[1] * a[1] + b[0] * b[0] + b[1] * b[1]);
    if (beyond) return;
    const float inverse = normed ? rsqrtf(squares / static_cast<float>(d) + norms.epsilon) : 1.0f;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      a[e] *= inverse * weights[0][e];
      b[e] *= inverse * weights[1][e];
    }
  }
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
    if (!turned && !normed) return;
    T* to = x.q + t * x.q_stride + head * d;
    StoreFloats<T, 2>(to + first, a);
    StoreFloats<T, 2>(to + second, b);
    return;
  }
  // As Rope leaves them and KvWrite stores them.
#pragma unroll
  for (int e = 0; e < 2; ++e) {
    a[e] = ToFloat(FromFloat<T>(a[e]));
    b[e] = ToFloat(FromFloat<T>(b[e]));
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

void KvWrite(const Queue& queue, const Batch& batch, const TensorView& k, const TensorView& v,
             const PagedKv& cache) {
  if (k.NumElements() == 0) return;
  AWQ_CHECK(v.empty() || k.dtype == v.dtype, kInternal, "kv_write: k is ", NameOf(k.dtype),
            ", v is ", NameOf(v.dtype));
  const bool wide = IsWide(k) && IsWide(v) && IsWide(cache.keys) && IsWide(cache.values);
  WithType(k.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithCacheType(cache.keys.dtype, [&](auto cached) {
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

void RopeKvWrite(const Queue& queue, const HeadNorms& norms, const RopeArgs& args,
                 const Batch& batch, const TensorView& q, const TensorView& k, const TensorView& v,
                 const PagedKv& cache) {
  const int64_t d = q.dim(2);
  const int64_t half = args.inverse_frequencies.dim(0);
  const auto even = [](const TensorView& x) {
    return x.strides[0] % 2 == 0 && reinterpret_cast<uintptr_t>(x.data) % 8 == 0;
  };
  const auto norm_apart = [&] {
    const NormArgs norm{.kind = NormKind::kRms, .epsilon = norms.epsilon};
    if (!norms.q.empty()) Norm(queue, norm, q, norms.q, {}, q);
    if (!norms.k.empty()) Norm(queue, norm, k, norms.k, {}, k);
  };
  if (q.dtype != k.dtype || q.dtype != v.dtype || d % 4 != 0 || half % 2 != 0 || !even(q) ||
      !even(k) || !even(v)) {
    norm_apart();
    Rope(queue, args, batch.positions, q);
    Rope(queue, args, batch.positions, k);
    KvWrite(queue, batch, k, v, cache);
    return;
  }
  if (q.NumElements() == 0) return;
  // The lanes of a head are a warp, or half of one; else norms are kernels of their own.
  const bool together = !norms.q.empty() && !norms.k.empty() && (d == 64 || d == 128) &&
                        IsWide(norms.q) && IsWide(norms.k);
  if (!together) norm_apart();
  const int64_t items = (q.dim(1) + 2 * k.dim(1)) * (d / 4);
  WithType(q.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithCacheType(cache.keys.dtype, [&](auto cached) {
      using C = typename decltype(cached)::type;
      const dim3 grid(static_cast<unsigned>(q.dim(0)), Blocks(items, kRopeThreads));
      const auto kernel = !together ? RopeKvWriteKernel<T, C, 0>
                          : d == 64 ? RopeKvWriteKernel<T, C, 16>
                                    : RopeKvWriteKernel<T, C, 32>;
      Launch(queue, kernel, grid, kRopeThreads, 0,
             HeadNormWeights{norms.q.As<const float>(), norms.k.As<const float>(), norms.epsilon},
             args.inverse_frequencies.As<const float>(), static_cast<int>(half), args.interleaved,
             args.magnitude, batch.positions.As<const int>(), static_cast<int>(q.dim(1)),
             PlaceOf(batch, cache),
             QkvRows<T>{q.As<T>(), k.As<const T>(), v.As<const T>(), q.strides[0], k.strides[0],
                        v.strides[0]},
             cache.keys.As<C>(), cache.values.As<C>(), static_cast<int>(d));
    });
  });
}

}  // namespace awq::cuda
