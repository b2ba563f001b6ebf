// The end of a tile of wide_linear: its sums are stored, or first shared out in a cluster.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/wide_gate.cuh"
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

// Where a thread's sums go: rows m, m + 1 of outputs n and n + 1 first, then those of eight rows
// further on, and so on, while they are below `rows`.
template <typename Y>
class PlainOutputs {
 public:
  __device__ PlainOutputs(const WideArgs& a, int m, int n, int rows)
      : bias_(a, n), y_(static_cast<Y*>(a.y) + m * a.y_stride + n), m_(m), rows_(rows) {}
  __device__ void Store(const WideArgs& a, float v0, float v1, float v2, float v3) {
    if (m_ < rows_) Store(a, y_, v0, v2);
    if (m_ + 1 < rows_) Store(a, y_ + a.y_stride, v1, v3);
    m_ += 8;
    y_ += 8 * a.y_stride;
  }

 private:
  __device__ void Store(const WideArgs& a, Y* to, float y0, float y1) const {
    StoreBoth(to, y0 * a.scale + bias_.even, y1 * a.scale + bias_.odd);
  }
  BiasPair bias_;
  Y* y_;
  int m_, rows_;
};

// The same where outputs n and n + 1 are gate and up. All lanes of a warp take part.
template <typename T, bool kSilu>
class GatedOutputs {
 public:
  __device__ GatedOutputs(const WideArgs& a, int m, int n, int rows)
      : bias_(a, n), m_(m + RowOfLane()), rows_(rows) {
    y_ = static_cast<T*>(a.y) + m_ * a.y_stride + n / 4 * 2;
  }
  __device__ void Store(const WideArgs& a, float v0, float v1, float v2, float v3) {
    const uint32_t pair = GatedOutputsOfRow<T, kSilu>(a, bias_, v0, v1, v2, v3);
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
template <typename T, typename F>
__device__ inline bool WithOutputs(const WideArgs& a, int m, int n, int rows, F&& store) {
  const bool whole = n / kTileN * kTileN + kTileN <= a.n;
  if (!a.y_pairs || !whole) return false;
  if (IsSilu(a)) {
    store(GatedOutputs<T, true>(a, m, n, rows));
  } else if (a.gate >= 0) {
    store(GatedOutputs<T, false>(a, m, n, rows));
  } else if (a.y_f32) {
    store(PlainOutputs<float>(a, m, n, rows));
  } else {
    store(PlainOutputs<T>(a, m, n, rows));
  }
  return true;
}

// The usual cases have code for each sum, others for an eighth of them, so that the code stays
// small.
template <typename T, int kM>
__device__ inline void StoreTile(const WideArgs& a, int m, int n, const float (&acc)[kM / 2]) {
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

// The rows of a tile are shared out among its parts in eights ("quads": a thread has four sums of
// each): part p stores those from QuadsBefore(p) on.
template <int kM>
__device__ inline int QuadsBefore(int part, int parts) {
  return kM / 8 * part / parts;
}

// The most shared memory that sums of parts are in, with what is read beyond them.
template <int kM, int kWarpgroups>
AWQ_HD constexpr int MostBytesOfSums() {
  int most = 0;
  for (int parts = 2; parts <= kWideParts; ++parts) {
    const int of_a_part = (kM / 8 + parts - 1) / parts;
    const int quads = (parts - 1) * of_a_part + (of_a_part + 3) / 4 * 4;
    most = quads > most ? quads : most;
  }
  return most * 128 * kWarpgroups * 16;
}

// This thread's sums of kQuads quads, kQuadBytes apart, added up in the order of the parts.
template <int kQuads, int kQuadBytes>
__device__ inline void AddParts(const uint8_t* sums, int parts, int part_bytes,
                                float4 (&total)[kQuads]) {
#pragma unroll
  for (float4& t : total) t = make_float4(0, 0, 0, 0);
#pragma unroll 1
  for (int part = 0; part < parts; ++part) {
#pragma unroll
    for (int j = 0; j < kQuads; ++j) {
      const auto v = *reinterpret_cast<const float4*>(sums + j * kQuadBytes);
      total[j].x += v.x;
      total[j].y += v.y;
      total[j].z += v.z;
      total[j].w += v.w;
    }
    sums += part_bytes;
  }
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
  const int part_bytes = (kQuads + a.parts - 1) / a.parts * kQuadBytes;
  uint8_t* mine = sums + thread * 16;
  uint8_t* row = mine + item.part * part_bytes;
  int owner = -1;
  uint8_t* at = row;
  uint32_t to = 0;
  uint32_t counts = 0;
#pragma unroll
  for (int quad = 0; quad < kQuads; ++quad) {
    const int next = ((quad + 1) * a.parts - 1) / kQuads;
    if (next != owner) {
      owner = next;
      at = row;
      to = ClusterAddress(SharedAddress(row), owner);
      counts = ClusterAddress(arrived, owner);
    }
    const float v[4] = {acc[4 * quad], acc[4 * quad + 1], acc[4 * quad + 2], acc[4 * quad + 3]};
    if (owner == item.part) {
      *reinterpret_cast<float4*>(at) = make_float4(v[0], v[1], v[2], v[3]);
    } else {
      ClusterStore(to, counts, v);
    }
    at += kQuadBytes;
    to += kQuadBytes;
  }
  const int begin = QuadsBefore<kM>(item.part, a.parts);
  const int end = QuadsBefore<kM>(item.part + 1, a.parts);
  if (begin == end) return;
  const int n = item.n_tile * 64 * kWarpgroups + thread / 32 * kTileN + thread % 32 / 4 * 2;
  const int m = item.m_tile * kM + 2 * (thread % 4) + 8 * begin;
  const int rows = min(a.m, item.m_tile * kM + 8 * end);
  BarrierWait(arrived, 0);
  // Four quads at a time, so that loads and stores of one do not wait for those of another; beyond
  // the last one lies shared memory as well.
  const auto all = [&](auto outputs) {
#pragma unroll 1
    for (int quad = begin; quad < end; quad += 4) {
      float4 total[4];
      AddParts<4, kQuadBytes>(mine, a.parts, part_bytes, total);
#pragma unroll
      for (const float4& v : total) outputs.Store(a, v.x, v.y, v.z, v.w);
      mine += 4 * kQuadBytes;
    }
  };
  if (WithOutputs<T>(a, m, n, rows, all)) return;
  const BiasPair bias(a, n);
#pragma unroll 1
  for (int quad = 0; quad < end - begin; ++quad) {
    float4 total[1];
    AddParts<1, kQuadBytes>(mine, a.parts, part_bytes, total);
    const float4& v = total[0];
    StorePair<T>(a, m + 8 * quad, n, v.x, v.z, bias);
    StorePair<T>(a, m + 8 * quad + 1, n, v.y, v.w, bias);
    mine += kQuadBytes;
  }
}

}  // namespace awq::cuda
