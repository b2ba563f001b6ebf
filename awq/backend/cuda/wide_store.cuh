// The end of a tile of wide_linear whose inputs are cut into parts: sums are shared out in a
// cluster.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/tile_store.cuh"
#include "awq/backend/cuda/wide_tile.cuh"

namespace awq::cuda {

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
