// Rotation of queries and keys and storing of keys and values in their pages, in one kernel; that
// for many tokens: rope_kv_many.cuh.
#pragma once

#include <type_traits>

#include "awq/backend/cuda/row_access.cuh"

namespace awq::cuda {

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
__device__ inline KvRow FindRow(const KvPlace& place, int t) {
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

struct HeadNormWeights {
  const float *q, *k;
  float epsilon;
};

// Heads are those of q, then k, then v.
template <typename T, typename C>
struct RopeKvArgs {
  HeadNormWeights norms;
  const float* inverse_frequencies;
  int half;
  bool interleaved;
  float magnitude;
  const int* positions;
  int heads, d;
  KvPlace place;
  T* q;
  const T* k;
  const T* v;
  int64_t q_stride, k_stride, v_stride;
  C* keys;
  C* values;

  __device__ int TurnedHeads() const { return heads + place.kv_heads; }
  __device__ int AllHeads() const { return heads + 2 * place.kv_heads; }
  __device__ const T* Head(int t, int head) const {
    const bool query = head < heads;
    const bool key = head < TurnedHeads();
    const T* from = query ? q : key ? k : v;
    const int64_t stride = query ? q_stride : key ? k_stride : v_stride;
    return from + t * stride + (head - (query ? 0 : key ? heads : TurnedHeads())) * d;
  }
};

// What a thread holds of a head: two runs of V elements. Those of pairs are `half` apart, so that
// both hold pairs of neighbours or each other's partners; the others are shared out likewise.
struct HeadPart {
  bool paired;
  int first, second;
};
template <int V>
__device__ inline HeadPart PartOf(int lane, int half, int d) {
  const bool paired = V * lane < half;
  const int first = paired ? V * lane : V * lane + half;
  return {paired, first, first + (paired ? half : d / 2 - half)};
}

// Rounded where it always was, so that the kernels for few and for many tokens agree to the bit.
__device__ inline void TurnPair(float s, float c, float magnitude, float& x, float& y) {
  const float turned = fmaf(x, c, -(y * s)) * magnitude;
  y = fmaf(y, c, x * s) * magnitude;
  x = turned;
}
// Turns V pairs by their angles: of a and b, or when interleaved first those in a, then those in b.
template <int V>
__device__ inline void TurnPairs(const float (&s)[V], const float (&c)[V], bool interleaved,
                                 float magnitude, float (&a)[V], float (&b)[V]) {
  if (interleaved) {
#pragma unroll
    for (int e = 0; e < V / 2; ++e) {
      TurnPair(s[e], c[e], magnitude, a[2 * e], a[2 * e + 1]);
      TurnPair(s[V / 2 + e], c[V / 2 + e], magnitude, b[2 * e], b[2 * e + 1]);
    }
  } else {
#pragma unroll
    for (int e = 0; e < V; ++e) TurnPair(s[e], c[e], magnitude, a[e], b[e]);
  }
}

// The sum of squares of a head, neighbours first: the same bits whatever V.
template <int V>
__device__ inline float SumOfSquares(const float (&a)[V], const float (&b)[V]) {
  float sums[V / 2];
#pragma unroll
  for (int i = 0; i < V / 2; ++i) {
    const float of_a = fmaf(a[2 * i + 1], a[2 * i + 1], a[2 * i] * a[2 * i]);
    sums[i] = fmaf(b[2 * i + 1], b[2 * i + 1], fmaf(b[2 * i], b[2 * i], of_a));
  }
#pragma unroll
  for (int n = V / 4; n > 0; n /= 2) {
#pragma unroll
    for (int i = 0; i < n; ++i) sums[i] = sums[2 * i] + sums[2 * i + 1];
  }
  return sums[0];
}
__device__ inline float SumOfLanes(float v, int lanes) {
#pragma unroll
  for (int apart = 1; apart < lanes; apart *= 2) v += __shfl_xor_sync(~0u, v, apart);
  return v;
}
template <int V>
__device__ inline void ScaleBy(float inverse, const float (&weights)[V], float (&v)[V]) {
#pragma unroll
  for (int e = 0; e < V; ++e) v[e] *= inverse * weights[e];
}

template <int V, typename T, typename C>
__device__ inline void StorePart(const RopeKvArgs<T, C>& args, const KvRow& row, int t, int head,
                                 const HeadPart& part, float (&a)[V], float (&b)[V]) {
  if (head < args.heads) {
    T* to = args.q + t * args.q_stride + head * args.d;
    StoreFloats<T, V>(to + part.first, a);
    StoreFloats<T, V>(to + part.second, b);
    return;
  }
  if constexpr (!std::is_same_v<T, C>) {  // as Rope leaves them and KvWrite stores them
#pragma unroll
    for (int e = 0; e < V; ++e) {
      a[e] = ToFloat(FromFloat<T>(a[e]));
      b[e] = ToFloat(FromFloat<T>(b[e]));
    }
  }
  const bool key = head < args.TurnedHeads();
  const int g = head - (key ? args.heads : args.TurnedHeads());
  C* to = (key ? args.keys : args.values) + row.Element(args.place, g, args.d);
  StoreFloats<C, V>(to + part.first, a);
  StoreFloats<C, V>(to + part.second, b);
}

// So small that blocks find room beside the product that makes q, k and v, which leaves 4096
// registers of an SM (docs/kernels.md).
inline constexpr int kRopeThreads = 64;

// Of kLanes neighbours: of a warp, or all threads of a block of two.
template <int kLanes>
__device__ inline float HeadSum(float v) {
  v = SumOfLanes(v, kLanes < 32 ? kLanes : 32);
  if constexpr (kLanes > 32) {
    static_assert(kLanes == kRopeThreads && kLanes == 64);
    __shared__ float warps[2];
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = warps[0] + warps[1];
  }
  return v;
}

// Thread: two pairs of elements of a head of a token.
// kNormLanes: of a head, whose q and k are normed; or 0.
template <typename T, typename C, int kNormLanes>
__global__ void __launch_bounds__(kRopeThreads) RopeKvWriteKernel(const RopeKvArgs<T, C> args) {
  AllowNextKernel();
  const int t = static_cast<int>(blockIdx.x);
  const int item = static_cast<int>(blockIdx.y) * kRopeThreads + static_cast<int>(threadIdx.x);
  const int lanes = args.d / 4;
  const int lane = item % lanes;
  const bool beyond = item / lanes >= args.AllHeads();
  if (kNormLanes == 0 && beyond) return;
  const int head = min(item / lanes, args.AllHeads() - 1);
  const HeadPart part = PartOf<2>(lane, args.half, args.d);
  const bool turned = part.paired && head < args.TurnedHeads();
  float s[2] = {};
  float c[2] = {1.0f, 1.0f};
  if (turned) {
    const auto position = static_cast<float>(args.positions[t]);
    const float* frequencies = args.inverse_frequencies + (args.interleaved ? lane : 2 * lane);
    sincosf(position * frequencies[0], &s[0], &c[0]);
    sincosf(position * frequencies[args.interleaved ? args.half / 2 : 1], &s[1], &c[1]);
  }
  float weights[2][2] = {{1.0f, 1.0f}, {1.0f, 1.0f}};
  const bool normed = kNormLanes > 0 && head < args.TurnedHeads();
  if (normed) {
    const float* w = head < args.heads ? args.norms.q : args.norms.k;
    LoadFloats<float, 2>(w + part.first, weights[0]);
    LoadFloats<float, 2>(w + part.second, weights[1]);
  }
  const KvRow row = FindRow(args.place, t);
  const T* from = args.Head(t, head);
  WaitForPreviousKernel();
  float a[2];
  float b[2];
  LoadFloats<T, 2>(from + part.first, a);
  LoadFloats<T, 2>(from + part.second, b);
  if constexpr (kNormLanes > 0) {
    const float squares = HeadSum<kNormLanes>(SumOfSquares(a, b));
    if (beyond) return;
    const float inverse =
        normed ? rsqrtf(squares / static_cast<float>(args.d) + args.norms.epsilon) : 1.0f;
    ScaleBy(inverse, weights[0], a);
    ScaleBy(inverse, weights[1], b);
  }
  if (turned) TurnPairs(s, c, args.interleaved, args.magnitude, a, b);
  if (head < args.heads && !turned && !normed) return;  // it stays as it is
  StorePart(args, row, t, head, part, a, b);
}

}  // namespace awq::cuda
