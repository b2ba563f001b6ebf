// Rotation of queries and keys, and storing of keys and values in their pages.
#include <algorithm>

#include "awq/backend/cuda/rope_kv.cuh"
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
constexpr int kMostLatentPairs = 64;

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
// queries. Everything is asked for before the angles are there.
template <typename T, typename C>
__global__ void __launch_bounds__(kLatentThreads)
    LatentWriteKernel(const LatentWriteArgs a, KvPlace place, T* latents, T* q, C* keys) {
  __shared__ float2 turns[kMostLatentPairs];  // cos and sin
  const int t = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  AllowNextKernel();
  const float frequency = thread < a.half ? a.inverse_frequencies[thread] : 0.0f;
  float scale[2] = {};
  if (2 * thread < a.rank) LoadFloats<float, 2>(a.weight + 2 * thread, scale);
  WaitForPreviousKernel();
  const float angle = static_cast<float>(a.positions[t]) * frequency;
  const auto make_turns = [&] {
    float s;
    float c;
    sincosf(angle, &s, &c);
    if (thread < a.half) turns[thread] = make_float2(c, s);
  };
  // The first element of pair i of a head, and how far the second is.
  const auto first_of = [&](int i) { return a.interleaved ? 2 * i : i; };
  const int apart = a.interleaved ? 1 : a.half;
  struct Pair {
    float u, v;
  };
  const auto load = [&](const T* first) { return Pair{ToFloat(first[0]), ToFloat(first[apart])}; };
  const auto rotated = [&](const Pair& pair, int i) {
    const float2 turn = turns[i];
    return Pair{(pair.u * turn.x - pair.v * turn.y) * a.magnitude,
                (pair.v * turn.x + pair.u * turn.y) * a.magnitude};
  };
  if (blockIdx.y > 0) {
    constexpr int kEach = kMostLatentPairs * kLatentHeads / kLatentThreads;
    const int first_head = (static_cast<int>(blockIdx.y) - 1) * kLatentHeads;
    const int pairs = min(kLatentHeads, a.heads - first_head) * a.half;
    T* first[kEach];
    Pair held[kEach];
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int j = thread + kLatentThreads * e;
      if (j >= pairs) break;
      first[e] = q + t * a.q_stride + (first_head + j / a.half) * a.rope + first_of(j % a.half);
      held[e] = load(first[e]);
    }
    make_turns();
    __syncthreads();
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int j = thread + kLatentThreads * e;
      if (j >= pairs) break;
      const Pair pair = rotated(held[e], j % a.half);
      first[e][0] = FromFloat<T>(pair.u);
      first[e][apart] = FromFloat<T>(pair.v);
    }
    return;
  }
  T* row = latents + t * a.latent_stride;
  T* rope = row + a.rank;
  float held[2] = {};
  if (2 * thread < a.rank) LoadFloats<T, 2>(row + 2 * thread, held);
  float squares = held[0] * held[0] + held[1] * held[1];
  for (int c = 2 * (thread + kLatentThreads); c < a.rank; c += 2 * kLatentThreads) {
    float v[2];
    LoadFloats<T, 2>(row + c, v);
    squares += v[0] * v[0] + v[1] * v[1];
  }
  Pair pair = {};
  if (thread < a.half) pair = load(rope + first_of(thread));
  C* to = keys + FindRow(place, t).Element(place, 0, a.rank + a.rope);
  make_turns();
  const float inverse = 1.0f / sqrtf(BlockSum(squares) / static_cast<float>(a.rank) + a.epsilon);
  const auto write = [&](int c, float(&v)[2], const float(&by)[2]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) v[i] = ToFloat(FromFloat<T>(v[i] * inverse * by[i]));
    StoreFloats<T, 2>(row + c, v);
    StoreFloats<C, 2>(to + c, v);
  };
  if (2 * thread < a.rank) write(2 * thread, held, scale);
  for (int c = 2 * (thread + kLatentThreads); c < a.rank; c += 2 * kLatentThreads) {
    float v[2];
    LoadFloats<T, 2>(row + c, v);
    LoadFloats<float, 2>(a.weight + c, scale);
    write(c, v, scale);
  }
  const auto store = [&](int e, T v) {
    rope[e] = v;
    to[a.rank + e] = FromFloat<C>(ToFloat(v));
  };
  if (thread < a.half) {
    pair = rotated(pair, thread);
    store(first_of(thread), FromFloat<T>(pair.u));
    store(first_of(thread) + apart, FromFloat<T>(pair.v));
  }
  for (int e = 2 * a.half + thread; e < a.rope; e += kLatentThreads) store(e, rope[e]);
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
  const auto even = [](const TensorView& t) {
    return t.strides[0] % 2 == 0 && reinterpret_cast<uintptr_t>(t.data) % 8 == 0;
  };
  if (norm.kind != NormKind::kRms || q_rope.dtype != latents.dtype || !even(latents) ||
      !even(weight) || weight.dim(0) % 2 != 0 || latents.dim(2) % 2 != 0 ||
      rope.inverse_frequencies.dim(0) > kMostLatentPairs) {
    return false;
  }
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
  // The lanes of a head are a warp, or half of one; else norms are kernels of their own.
  const bool together = !norms.q.empty() && !norms.k.empty() && (d == 64 || d == 128) &&
                        IsWide(norms.q) && IsWide(norms.k);
  if (!together) norm_apart();
  const int64_t items = (q.dim(1) + 2 * k.dim(1)) * (d / 4);
  // Threads keep their pairs from head to head where a block holds whole heads.
  const bool many = q.dim(0) >= kManyTokens && kRopeThreads % (d / 4) == 0;
  const dim3 grid(static_cast<unsigned>(q.dim(0)),
                  Blocks(items, kRopeThreads * (many ? kTurns : 1)));
  WithType(q.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    WithCacheType(cache.keys.dtype, [&](auto cached) {
      using C = typename decltype(cached)::type;
      const auto few = !together ? RopeKvWriteKernel<T, C, 0>
                       : d == 64 ? RopeKvWriteKernel<T, C, 16>
                                 : RopeKvWriteKernel<T, C, 32>;
      const auto more = !together ? RopeKvWriteManyKernel<T, C, 0>
                        : d == 64 ? RopeKvWriteManyKernel<T, C, 16>
                                  : RopeKvWriteManyKernel<T, C, 32>;
      Launch(queue, many ? more : few, grid, kRopeThreads, 0,
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
