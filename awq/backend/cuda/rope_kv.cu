// Rotation of queries and keys, and storing of keys and values in their pages.
#include <algorithm>

#include "awq/backend/cuda/rope_kv_many.cuh"
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

constexpr int kLatentThreads = 256;
constexpr int kLatentHeads = 16;  // of queries, a block

struct LatentWriteArgs {
  const float* weight;  // [rank]
  float epsilon;
  const float* inverse_frequencies;
  int half;
  bool interleaved;
  float magnitude;
  const int* positions;
  int64_t latent_stride, q_stride;
  int heads, rank, rope;
};

// grid (tokens, 1 + heads / kLatentHeads): a token's latent vector and rotated key, and its
// queries.
template <typename T, typename C>
__global__ void __launch_bounds__(kLatentThreads)
    LatentWriteKernel(const LatentWriteArgs a, KvPlace place, T* latents, T* q, C* keys) {
  BeginKernel();
  const int t = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  const auto position = static_cast<float>(a.positions[t]);
  // Of pair i of a head; `store` takes an element's number and value.
  const auto rotate = [&](T* head, int i, const auto& store) {
    float s;
    float c;
    sincosf(position * a.inverse_frequencies[i], &s, &c);
    const int first = a.interleaved ? 2 * i : i;
    const int second = a.interleaved ? first + 1 : first + a.half;
    const float u = ToFloat(head[first]);
    const float v = ToFloat(head[second]);
    store(first, FromFloat<T>((u * c - v * s) * a.magnitude));
    store(second, FromFloat<T>((v * c + u * s) * a.magnitude));
  };
  if (blockIdx.y > 0) {
    const int first = (static_cast<int>(blockIdx.y) - 1) * kLatentHeads;
    const int pairs = min(kLatentHeads, a.heads - first) * a.half;
    for (int j = thread; j < pairs; j += kLatentThreads) {
      T* head = q + t * a.q_stride + (first + j / a.half) * a.rope;
      rotate(head, j % a.half, [&](int e, T v) { head[e] = v; });
    }
    return;
  }
  T* row = latents + t * a.latent_stride;
  float squares = 0.0f;
  for (int c = thread; c < a.rank; c += kLatentThreads)
    squares += ToFloat(row[c]) * ToFloat(row[c]);
  const float inverse = 1.0f / sqrtf(BlockSum(squares) / static_cast<float>(a.rank) + a.epsilon);
  C* to = keys + FindRow(place, t).Element(place, 0, a.rank + a.rope);
  const auto store = [&](int c, T v) {
    row[c] = v;
    to[c] = FromFloat<C>(ToFloat(v));
  };
  for (int c = thread; c < a.rank; c += kLatentThreads) {
    store(c, FromFloat<T>(ToFloat(row[c]) * inverse * a.weight[c]));
  }
  for (int i = thread; i < a.half; i += kLatentThreads) {
    rotate(row + a.rank, i, [&](int e, T v) { store(a.rank + e, v); });
  }
  for (int c = 2 * a.half + thread; c < a.rope; c += kLatentThreads)
    store(a.rank + c, row[a.rank + c]);
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

bool LatentWrite(const Queue& queue, const NormArgs& norm, const TensorView& weight,
                 const RopeArgs& rope, const Batch& batch, const TensorView& latents,
                 const TensorView& q_rope, const PagedKv& cache) {
  if (norm.kind != NormKind::kRms || q_rope.dtype != latents.dtype) return false;
  if (latents.NumElements() == 0) return true;
  const LatentWriteArgs a{.weight = weight.As<const float>(),
                          .epsilon = norm.epsilon,
                          .inverse_frequencies = rope.inverse_frequencies.As<const float>(),
                          .half = static_cast<int>(rope.inverse_frequencies.dim(0)),
                          .interleaved = rope.interleaved,
                          .magnitude = rope.magnitude,
                          .positions = batch.positions.As<const int>(),
                          .latent_stride = latents.strides[0],
                          .q_stride = q_rope.strides[0],
                          .heads = static_cast<int>(q_rope.dim(1)),
                          .rank = static_cast<int>(weight.dim(0)),
                          .rope = static_cast<int>(q_rope.dim(2))};
  const dim3 grid(static_cast<unsigned>(latents.dim(0)), 1 + Blocks(a.heads, kLatentHeads));
  WithType(latents.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithCacheType(cache.keys.dtype, [&](auto cached) {
      using C = typename decltype(cached)::type;
      Launch(queue, LatentWriteKernel<T, C>, grid, kLatentThreads, 0, a, PlaceOf(batch, cache),
             latents.As<T>(), q_rope.As<T>(), cache.keys.As<C>());
    });
  });
  return true;
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
  // By kernels of their own unless both kernels, for few and for many tokens, do them: they must
  // agree to the bit.
  const bool together = !norms.q.empty() && !norms.k.empty() && (d == 64 || d == 128 || d == 256) &&
                        IsWide(norms.q) && IsWide(norms.k);
  if (!together) norm_apart();
  const bool many = q.dim(0) >= kManyTokens && d % kPartSize == 0 &&
                    d / kPartSize <= kManyThreads && half % kWide == 0 && IsWide(q) && IsWide(k) &&
                    IsWide(v) && IsWide(cache.keys) && IsWide(cache.values);
  const int64_t heads = q.dim(1) + 2 * k.dim(1);
  unsigned blocks = Blocks(heads * (d / 4), kRopeThreads);
  dim3 threads(kRopeThreads);
  if (many) {
    threads.x = static_cast<unsigned>(d / kPartSize);
    blocks = Blocks(heads, int64_t{kManyThreads / threads.x} * kTurns);
    threads.y = Blocks(heads, int64_t{blocks} * kTurns);
    // Lanes that add up need all of their warp.
    if (together) threads.y = Blocks(threads.x * threads.y, 32) * (32 / threads.x);
  }
  WithType(q.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithCacheType(cache.keys.dtype, [&](auto cached) {
      using C = typename decltype(cached)::type;
      const auto kernel = many && together ? RopeKvWriteManyKernel<T, C, true>
                          : many           ? RopeKvWriteManyKernel<T, C, false>
                          : !together      ? RopeKvWriteKernel<T, C, 0>
                          : d == 64        ? RopeKvWriteKernel<T, C, 16>
                          : d == 128       ? RopeKvWriteKernel<T, C, 32>
                                           : RopeKvWriteKernel<T, C, 64>;
      const RopeKvArgs<T, C> a{
          .norms = {norms.q.As<const float>(), norms.k.As<const float>(), norms.epsilon},
          .inverse_frequencies = args.inverse_frequencies.As<const float>(),
          .half = static_cast<int>(half),
          .interleaved = args.interleaved,
          .magnitude = args.magnitude,
          .positions = batch.positions.As<const int>(),
          .heads = static_cast<int>(q.dim(1)),
          .d = static_cast<int>(d),
          .place = PlaceOf(batch, cache),
          .q = q.As<T>(),
          .k = k.As<const T>(),
          .v = v.As<const T>(),
          .q_stride = q.strides[0],
          .k_stride = k.strides[0],
          .v_stride = v.strides[0],
          .keys = cache.keys.As<C>(),
          .values = cache.values.As<C>()};
      Launch(queue, kernel, dim3(static_cast<unsigned>(q.dim(0)), blocks), threads,
             many ? static_cast<int>(half * 2 * int64_t{sizeof(float)}) : 0, a);
    });
  });
}

}  // namespace awq::cuda
