// The end of a tile of wide_linear: its sums are stored, or first shared out in a cluster.
#pragma once

#include "awq/backend/cuda/gate.cuh"
#include "awq/backend/cuda/wide_tile.cuh"

namespace awq::cuda {

struct BiasPair {
  float even = 0.0f;
  float odd = 0.0f;
  __device__ BiasPair(const WideArgs& a, int n) {
    if (a.bias == nullptr) return;
    if (n < a.n) even = a.bias[n];
    if (n + 1 < a.n) odd = a.bias[n + 1];
  }
};

__device__ inline void StoreBoth(float* to, float y0, float y1) {
  *reinterpret_cast<float2*>(to) = make_float2(y0, y1);
}
template <typename T>
__device__ inline void StoreBoth(T* to, float y0, float y1) {
  const T pair[2] = {static_cast<T>(y0), static_cast<T>(y1)};
  *reinterpret_cast<uint32_t*>(to) = reinterpret_cast<const uint32_t&>(pair);
}

// y[m, n] and y[m, n + 1] of the sums y0 and y1; n is even.
template <typename T>
__device__ inline void StorePair(const WideArgs& a, int m, int n, float y0, float y1,
                                 const BiasPair& bias) {
  if (m >= a.m || n >= a.n) return;
  if (a.gate >= 0) return StoreGated<T>(a, m, n, y0, y1);
  y0 = y0 * a.scale + bias.even;
  y1 = y1 * a.scale + bias.odd;
  const int64_t at = m * a.y_stride + n;
  if (a.y_pairs && n + 1 < a.n) {
    if (a.y_f32) return StoreBoth(static_cast<float*>(a.y) + at, y0, y1);
    return StoreBoth(static_cast<T*>(a.y) + at, y0, y1);
  }
  for (int i = 0; i < 2 && n + i < a.n; ++i) {
    const float y = i == 0 ? y0 : y1;
    if (a.y_f32) {
      static_cast<float*>(a.y)[at + i] = y;
    } else {
      static_cast<T*>(a.y)[at + i] = static_cast<T>(y);
    }
  }
}

// All sums of this thread, as Y: rows m, m + 1, m + 8, m + 9 … of outputs n and n + 1.
template <typename Y, int kM>
__device__ inline void StorePairs(const WideArgs& a, int m, int n, const BiasPair& bias,
                                  const float (&acc)[kM / 2]) {
  Y* y = static_cast<Y*>(a.y) + m * a.y_stride + n;
  const auto store = [&](Y* to, float y0, float y1) {
    StoreBoth(to, y0 * a.scale + bias.even, y1 * a.scale + bias.odd);
  };
#pragma unroll
  for (int j = 0; j < kM / 8; ++j) {
    if (m + 8 * j < a.m) store(y, acc[4 * j], acc[4 * j + 2]);
    if (m + 8 * j + 1 < a.m) store(y + a.y_stride, acc[4 * j + 1], acc[4 * j + 3]);
    y += 8 * a.y_stride;
  }
}

// The plain case has code for each sum, others (gated, odd) for an eighth of them, so that the code
// stays small.
template <typename T, int kM>
__device__ inline void StoreTile(const WideArgs& a, int m, int n, const float (&acc)[kM / 2]) {
  if (n >= a.n) return;
  const BiasPair bias(a, n);
  if (a.gate < 0 && a.y_pairs && n + 1 < a.n) {
    if (a.y_f32) return StorePairs<float, kM>(a, m, n, bias, acc);
    return StorePairs<T, kM>(a, m, n, bias, acc);
  }
  constexpr int kTogether = kM < 64 ? 1 : kM / 64;
#pragma unroll 1
  for (int first = 0; first < kM / 8; first += kTogether) {
    float v[4 * kTogether] = {};
#pragma unroll
    for (int j = 0; j < kM / 8; j += kTogether) {
#pragma unroll
      for (int i = 0; i < 4 * kTogether; ++i) v[i] = j == first ? acc[4 * j + i] : v[i];
    }
#pragma unroll
    for (int j = 0; j < kTogether; ++j) {
      StorePair<T>(a, m + 8 * (first + j), n, v[4 * j], v[4 * j + 2], bias);
      StorePair<T>(a, m + 8 * (first + j) + 1, n, v[4 * j + 1], v[4 * j + 3], bias);
    }
  }
}

// The rows of a tile are shared out among its parts in eights ("quads": a thread has four sums of
// each): part p stores those from QuadsBefore(p) on.
template <int kM>
__device__ inline int QuadsBefore(int part, int parts) {
  return kM / 8 * part / parts;
}

// Sends each quad of this thread's sums to its part, waits for those of this part and stores them.
// `sums` is shared memory that the whole cluster has done with, `arrived` a barrier that expects
// what the others send.
template <typename T, int kM, int kWarpgroups>
__device__ void ShareSums(const WideArgs& a, const WideItem& item, const float (&acc)[kM / 2],
                          uint8_t* sums, uint32_t arrived) {
  constexpr int kQuads = kM / 8;
  constexpr int kQuadBytes = 128 * kWarpgroups * 16;
  const int thread = static_cast<int>(threadIdx.x);
  // [part that sends][quad of the part that stores]
  const int most = (kQuads + a.parts - 1) / a.parts;
  uint8_t* mine = sums + thread * 16;
  uint8_t* row = mine + item.part * most * kQuadBytes;
  int owner = -1;
  int first = 0;
#pragma unroll
  for (int quad = 0; quad < kQuads; ++quad) {
    const int next = ((quad + 1) * a.parts - 1) / kQuads;
    if (next != owner) owner = next, first = quad;
    const float v[4] = {acc[4 * quad], acc[4 * quad + 1], acc[4 * quad + 2], acc[4 * quad + 3]};
    uint8_t* at = row + (quad - first) * kQuadBytes;
    if (owner == item.part) {
      *reinterpret_cast<float4*>(at) = make_float4(v[0], v[1], v[2], v[3]);
    } else {
      ClusterStore(SharedAddress(at), arrived, static_cast<uint32_t>(owner), v);
    }
  }
  const int begin = QuadsBefore<kM>(item.part, a.parts);
  const int end = QuadsBefore<kM>(item.part + 1, a.parts);
  if (begin == end) return;
  BarrierWait(arrived, 0);
  const int n = item.n_tile * 64 * kWarpgroups + thread / 32 * kTileN + thread % 32 / 4 * 2;
  const BiasPair bias(a, n);
  for (int quad = begin; quad < end; ++quad) {
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 8
    for (int part = 0; part < a.parts; ++part) {
      const auto v =
          *reinterpret_cast<const float4*>(mine + (part * most + quad - begin) * kQuadBytes);
      sum.x += v.x;
      sum.y += v.y;
      sum.z += v.z;
      sum.w += v.w;
    }
    const int m = item.m_tile * kM + 8 * quad + 2 * (thread % 4);
    StorePair<T>(a, m, n, sum.x, sum.z, bias);
    StorePair<T>(a, m + 1, n, sum.y, sum.w, bias);
  }
}

}  // namespace awq::cuda
