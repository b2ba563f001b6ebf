// Rotation of queries and keys and storing of keys and values in their pages, in one kernel.
#pragma once

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

template <typename T>
struct QkvRows {
  T* q;
  const T* k;
  const T* v;
  int64_t q_stride, k_stride, v_stride;
};

// So small that blocks find room beside the product that makes q, k and v, which leaves 4096
// registers of an SM (docs/kernels.md).
inline constexpr int kRopeThreads = 64;

struct HeadNormWeights {
  const float *q, *k;
  float epsilon;
};

// Turns two pairs by their angles: a and b hold two neighbours each, which are the first and the
// second elements of the pairs, or when interleaved a pair each.
__device__ inline void TurnPairs(const float (&s)[2], const float (&c)[2], bool interleaved,
                                 float magnitude, float (&a)[2], float (&b)[2]) {
  float& y0 = interleaved ? a[1] : b[0];  // of the first pair
  float& x1 = interleaved ? b[0] : a[1];  // of the second
  const float x0 = (a[0] * c[0] - y0 * s[0]) * magnitude;
  y0 = (y0 * c[0] + a[0] * s[0]) * magnitude;
  a[0] = x0;
  const float turned_x1 = (x1 * c[1] - b[1] * s[1]) * magnitude;
  b[1] = (b[1] * c[1] + x1 * s[1]) * magnitude;
  x1 = turned_x1;
}

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
    TurnPairs(s, c, interleaved, magnitude, a, b);
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

// From kManyTokens on a thread turns the same pairs of so many heads, whose angles and place in the
// cache are the same.
inline constexpr int kTurns = 8;
inline constexpr int64_t kManyTokens = 128;

// The same for many tokens: a thread has two pairs of kTurns heads.
template <typename T, typename C, int kNormLanes>
__global__ void __launch_bounds__(kRopeThreads)
    RopeKvWriteManyKernel(HeadNormWeights norms, const float* inverse_frequencies, int half,
                          bool interleaved, float magnitude, const int* positions, int heads,
                          KvPlace place, QkvRows<T> x, C* keys, C* values, int d) {
  AllowNextKernel();
  const int t = static_cast<int>(blockIdx.x);
  const int item = static_cast<int>(blockIdx.y) * kRopeThreads + static_cast<int>(threadIdx.x);
  const int rotated_heads = heads + place.kv_heads;
  const int all_heads = rotated_heads + place.kv_heads;
  const int first_head = item / (d / 4);
  const int heads_apart = static_cast<int>(gridDim.y) * kRopeThreads / (d / 4);
  if (kNormLanes == 0 && first_head >= all_heads) return;
  const int i = item % (d / 4) * 2;  // the first pair
  const bool in_pairs = i < half;    // these elements of q and k are turned
  float s[2] = {};
  float c[2] = {1.0f, 1.0f};
  if (in_pairs && first_head < rotated_heads) {
    const auto position = static_cast<float>(positions[t]);
    sincosf(position * inverse_frequencies[i], &s[0], &c[0]);
    sincosf(position * inverse_frequencies[i + 1], &s[1], &c[1]);
  }
  const bool apart = in_pairs && !interleaved;  // the elements of a pair of q or k
  const int first_turned = apart ? i : 2 * i;
  const int second_turned = apart ? i + half : 2 * i + 2;
  float weights[2][2];
  const auto load_weights = [&](int head) {
    const float* w = head < heads ? norms.q : norms.k;
    LoadFloats<float, 2>(w + first_turned, weights[0]);
    LoadFloats<float, 2>(w + second_turned, weights[1]);
  };
  const KvRow row = FindRow(place, t);
  WaitForPreviousKernel();

  struct Turn {
    int head, first, second;  // of the elements of its pairs
    bool beyond, turned;
    float a[2], b[2];
  };
  Turn turns[kTurns];
#pragma unroll
  for (int u = 0; u < kTurns; ++u) {
    Turn& turn = turns[u];
    turn.head = first_head + u * heads_apart;
    turn.beyond = turn.head >= all_heads;
    turn.head = min(turn.head, all_heads - 1);
    turn.turned = in_pairs && turn.head < rotated_heads;
    turn.first = turn.head < rotated_heads ? first_turned : 2 * i;
    turn.second = turn.head < rotated_heads ? second_turned : 2 * i + 2;
    const int g = (turn.head - heads) % place.kv_heads;
    const T* from = turn.head < heads           ? x.q + t * x.q_stride + turn.head * d
                    : turn.head < rotated_heads ? x.k + t * x.k_stride + g * d
                                                : x.v + t * x.v_stride + g * d;
    LoadFloats<T, 2>(from + turn.first, turn.a);
    LoadFloats<T, 2>(from + turn.second, turn.b);
  }
#pragma unroll
  for (int u = 0; u < kTurns; ++u) {
    const Turn& turn = turns[u];
    float a[2] = {turn.a[0], turn.a[1]};
    float b[2] = {turn.b[0], turn.b[1]};
    const bool normed = kNormLanes > 0 && turn.head < rotated_heads;
    if constexpr (kNormLanes > 0) {
      const float squares =
          WarpSum<kNormLanes>(a[0] * a[0] + a[1] * a[1] + b[0] * b[0] + b[1] * b[1]);
      if (normed) {
        load_weights(turn.head);
        const float inverse = rsqrtf(squares / static_cast<float>(d) + norms.epsilon);
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          a[e] *= inverse * weights[0][e];
          b[e] *= inverse * weights[1][e];
        }
      }
    }
    if (turn.beyond) continue;
    if (turn.turned) {
      TurnPairs(s, c, interleaved, magnitude, a, b);
    }
    if (turn.head < heads) {
      if (!turn.turned && !normed) continue;
      T* to = x.q + t * x.q_stride + turn.head * d;
      StoreFloats<T, 2>(to + turn.first, a);
      StoreFloats<T, 2>(to + turn.second, b);
      continue;
    }
    // As Rope leaves them and KvWrite stores them.
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      a[e] = ToFloat(FromFloat<T>(a[e]));
      b[e] = ToFloat(FromFloat<T>(b[e]));
    }
    const int g = (turn.head - heads) % place.kv_heads;
    C* to = (turn.head < rotated_heads ? keys : values) + row.Element(place, g, d);
    StoreFloats<C, 2>(to + turn.first, a);
    StoreFloats<C, 2>(to + turn.second, b);
  }
}

}  // namespace awq::cuda
