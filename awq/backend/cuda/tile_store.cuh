// The end of a tile of yᵀ = W·xᵀ whose sums are D operands of mma or wgmma: a lane has those of
// outputs n and n + 1 of rows m and m + 1 of every eight. A: arguments of a kernel, with bias, y,
// y_stride, y_f32, gate (GateArg), scale, m, n and y_pairs, whether two neighbouring outputs may be
// stored at once.
#pragma once

#include "awq/backend/cuda/layout.h"
#include "awq/backend/cuda/tile_gate.cuh"

namespace awq::cuda {

struct BiasPair {
  float even = 0.0f;
  float odd = 0.0f;
  template <typename A>
  __device__ BiasPair(const A& a, int n) {
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
template <typename T, typename A>
__device__ inline void StorePair(const A& a, int m, int n, float y0, float y1,
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

// Where a thread's sums go: rows m, m + 1 of outputs n and n + 1 first, then those of eight rows
// further on, and so on, while they are below `rows`.
template <typename Y, typename A>
class PlainOutputs {
 public:
  __device__ PlainOutputs(const A& a, int m, int n, int rows)
      : bias_(a, n), y_(static_cast<Y*>(a.y) + m * a.y_stride + n), m_(m), rows_(rows) {}
  __device__ void Store(const A& a, float v0, float v1, float v2, float v3) {
    if (m_ < rows_) Store(a, y_, v0, v2);
    if (m_ + 1 < rows_) Store(a, y_ + a.y_stride, v1, v3);
    m_ += 8;
    y_ += 8 * a.y_stride;
  }

 private:
  __device__ void Store(const A& a, Y* to, float y0, float y1) const {
    StoreBoth(to, y0 * a.scale + bias_.even, y1 * a.scale + bias_.odd);
  }
  BiasPair bias_;
  Y* y_;
  int m_, rows_;
};

// The same where outputs n and n + 1 are gate and up. All lanes of a warp take part.
template <typename T, bool kSigmoid, typename A>
class GatedOutputs {
 public:
  __device__ GatedOutputs(const A& a, int m, int n, int rows)
      : bias_(a, n), m_(m + RowOfLane()), rows_(rows) {
    y_ = static_cast<T*>(a.y) + m_ * a.y_stride + n / 4 * 2;
  }
  __device__ void Store(const A& a, float v0, float v1, float v2, float v3) {
    const uint32_t pair = GatedOutputsOfRow<T, kSigmoid>(a, bias_, v0, v1, v2, v3);
    if (m_ < rows_) *reinterpret_cast<uint32_t*>(y_) = pair;
    m_ += 8;
    y_ += 8 * a.y_stride;
  }

 private:
  GateBias bias_;
  T* y_;
  int m_, rows_;
};

// Calls store with where this thread's sums go, if two neighbouring outputs can be stored at once
// for all lanes of this warp; else it returns false.
template <typename T, typename A, typename F>
__device__ inline bool WithOutputs(const A& a, int m, int n, int rows, F&& store) {
  const bool whole = n / kTileN * kTileN + kTileN <= a.n;
  if (!a.y_pairs || !whole) return false;
  if (HasSigmoid(a)) {
    store(GatedOutputs<T, true, A>(a, m, n, rows));
  } else if (a.gate >= 0) {
    store(GatedOutputs<T, false, A>(a, m, n, rows));
  } else if (a.y_f32) {
    store(PlainOutputs<float, A>(a, m, n, rows));
  } else {
    store(PlainOutputs<T, A>(a, m, n, rows));
  }
  return true;
}

// The usual cases have code for each sum, others for an eighth of them, so that the code stays
// small.
template <typename T, int kM, typename A>
__device__ inline void StoreTile(const A& a, int m, int n, const float (&acc)[kM / 2]) {
  const auto all = [&](auto outputs) {
#pragma unroll
    for (int j = 0; j < kM / 2; j += 4) {
      outputs.Store(a, acc[j], acc[j + 1], acc[j + 2], acc[j + 3]);
    }
  };
  if (WithOutputs<T>(a, m, n, a.m, all) || n >= a.n) return;
  const BiasPair bias(a, n);
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

}  // namespace awq::cuda
