// Attention of one token inside fused_layers.cuh. The keys of a group of heads are split over
// thread blocks, and come through the ring. A warp takes two keys at a time for all query heads
// that share them, a lane two, four or eight neighbouring elements; warps meet in shared memory,
// blocks through words of fused_hop.cuh, each of them adding up its part of the outputs.
#pragma once

#include "awq/backend/cuda/fused_linear.cuh"
#include "awq/backend/cuda/fused_queries.cuh"

namespace awq::cuda {

// Sums each of kCount values over the lanes of a warp; lane l then holds value l / (32 / kCount).
template <int kCount>
__device__ inline float SumEach(const float (&v)[kCount]) {
  float left[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) left[i] = v[i];
  unsigned width = 16;
#pragma unroll
  for (int count = kCount / 2; count > 0; count /= 2, width /= 2) {
    const bool upper = (threadIdx.x & width) != 0;
#pragma unroll
    for (int i = 0; i < count; ++i) {
      const float sent = upper ? left[i] : left[i + count];
      left[i] = (upper ? left[i + count] : left[i]) + __shfl_xor_sync(~0u, sent, width);
    }
  }
  for (; width > 0; width /= 2) left[0] += __shfl_xor_sync(~0u, left[0], width);
  return left[0];
}

// Below all scores, but not infinite: differences are numbers, and a tag does not change what it
// is.
inline constexpr float kNoScore = -1e30f;

// kHeads: most query heads of a group; kCaps: scores may have a cap.
template <typename C, int kD, int kHeads, bool kCaps, bool kUneven>
__device__ inline void FusedAttention(const FusedArgs& a, const FusedLayer& layer, int index,
                                      const FusedSplit& s, int reach, uint32_t tag, Ring& ring,
                                      uint8_t* shared) {
  constexpr int kEach = kD <= 64 ? 2 : kD <= 128 ? 4 : 8;  // elements of a lane
  constexpr int kLanes = kD / kEach;                       // that have some
  constexpr int kKeys = 2;                                 // of a warp at a time
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int heads = s.Heads<kUneven>(a);
  AwaitQueries<C, kD, kUneven>(a, layer, index, s, reach, tag, shared);
  FusedBarrier();  // and the sums of the linear before have been read
  const int column = kEach * (kLanes == 32 ? lane : min(lane, kLanes - 1));
  float q[kHeads][kEach];
  float sums[kHeads][kEach] = {};
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    const auto* from =
        reinterpret_cast<const float*>(shared + a.shared.queries) + min(h, heads - 1) * kD + column;
    LoadFloats<float, kEach>(from, q[h]);
#pragma unroll
    for (int i = 0; i < kEach && kLanes < 32; ++i) q[h][i] = lane < kLanes ? q[h][i] : 0.0f;
  }
  // Of the head that this lane has scores of.
  constexpr int kScores = kKeys * kHeads;
  float most = kNoScore;
  float total = 0.0f;
  const C* newest = reinterpret_cast<const C*>(shared + a.shared.tokens);
#pragma unroll 1
  for (int chunk = s.begin; chunk < s.end; chunk += a.chunk_keys) {
    ring.Wait();
    const C* keys = reinterpret_cast<const C*>(shared + (ring.slot - ring.first));
    const C* values = keys + a.chunk_keys * kD;
    const int count = min(a.chunk_keys, s.end - chunk);
#pragma unroll 1
    for (int key = kKeys * warp; key < count; key += kKeys * kFusedWarps) {
      float scores[kKeys * kHeads];
      float value[kKeys][kEach];
#pragma unroll
      for (int e = 0; e < kKeys; ++e) {
        const int k = min(key + e, count - 1);
        const bool own = s.newest && chunk + k == s.end - 1;
        float kv[kEach];
        LoadFloats<C, kEach>((own ? newest : keys + k * kD) + column, kv);
        LoadFloats<C, kEach>((own ? newest + kD : values + k * kD) + column, value[e]);
#pragma unroll
        for (int h = 0; h < kHeads; ++h) {
          float dot = 0.0f;
#pragma unroll
          for (int i = 0; i < kEach; ++i) dot += q[h][i] * kv[i];
          scores[e * kHeads + h] = dot;
        }
      }
      float mine = SumEach(scores);
      if (kCaps && a.cap > 0.0f) mine = a.cap * Tanh(mine * a.inverse_cap);
      // The upper half has the second key's.
      const int place = key + lane / 16;
      if (place >= count || chunk + place < s.first) mine = -INFINITY;
      const float other = __shfl_xor_sync(~0u, mine, 16);
      const float higher = fmaxf(most, fmaxf(mine, other));
      const float shrink = exp2f(most - higher);
      const float weight = exp2f(mine - higher);
      total = total * shrink + weight + exp2f(other - higher);
      const bool grows = __any_sync(~0u, higher > most && most > kNoScore);
      most = higher;
      if (grows) {
#pragma unroll
        for (int h = 0; h < kHeads; ++h) {
          const float factor = __shfl_sync(~0u, shrink, h * (32 / kScores));
#pragma unroll
          for (int i = 0; i < kEach; ++i) sums[h][i] *= factor;
        }
      }
#pragma unroll
      for (int e = 0; e < kKeys; ++e) {
#pragma unroll
        for (int h = 0; h < kHeads; ++h) {
          const float factor = __shfl_sync(~0u, weight, (e * kHeads + h) * (32 / kScores));
#pragma unroll
          for (int i = 0; i < kEach; ++i) sums[h][i] += factor * value[e][i];
        }
      }
    }
    __syncwarp();
    if (lane == 0) ring.GiveBack();
    ring.Next();
  }
  // Warps meet.
  auto* merge = reinterpret_cast<float*>(shared + a.shared.merge);
  auto* statistics = reinterpret_cast<float2*>(shared + a.shared.statistics);  // [head][warp]
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (h >= heads) break;
    if (kLanes == 32 || lane < kLanes) {
      StoreFloats<float, kEach>(merge + (warp * heads + h) * kD + column, sums[h]);
    }
    if (lane == h * (32 / kScores)) {
      statistics[h * kFusedWarps + warp] = make_float2(most, total);
    }
  }
  FusedBarrier();
  // [d · heads] sums relative to the split's largest score, then that and the sum of weights.
  const int stride = (kUneven ? a.group_heads : heads) * (kD + 2);
  float* partial = a.partial + (s.group * a.splits + s.split) * stride;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < heads * kD; i += kFusedThreads) {
    const int h = i / kD;
    const float2 st = statistics[h * kFusedWarps + lane % kFusedWarps];
    const float top = WarpMax<kFusedWarps>(st.x);
    const float factor = exp2f(st.x - top);
    const float sum = WarpSum<kFusedWarps>(factor * st.y);
    float y = 0.0f;
#pragma unroll
    for (int w = 0; w < kFusedWarps; ++w) {
      y += __shfl_sync(~0u, factor, w) * merge[w * heads * kD + i];
    }
    Publish(partial + i, y, tag);
    if (i % kD < 2) {
      Publish(partial + heads * kD + 2 * h + i % kD, i % kD == 0 ? top : sum, tag);
    }
  }
  // Splits meet: this block adds up its share of outputs. A warp fetches what a split has of them;
  // then half a warp takes an output, a lane of it a split's part.
  const int share = (heads * kD + a.splits - 1) / a.splits;
  const int first = s.split * share;
  const int count = min(share, heads * kD - first);
  auto* parts = reinterpret_cast<float*>(shared + a.shared.sums);  // [split][3][share]
  if (warp < a.splits) {
    const float* of_split = a.partial + (s.group * a.splits + warp) * stride;
    float* to = parts + warp * 3 * share;
#pragma unroll 1
    for (int i = lane; i < count; i += 32) {
      const float* st = of_split + heads * kD + (first + i) / kD * 2;
      float v[3];
      while (!(Load(of_split + first + i, tag, v[0]) & Load(st, tag, v[1]) &
               Load(st + 1, tag, v[2]))) {
      }
#pragma unroll
      for (int k = 0; k < 3; ++k) to[k * share + i] = v[k];
    }
    __syncwarp();
  }
  FusedBarrier();
  const int split = lane % 16;
#pragma unroll 1
  for (int i = 2 * warp; i < count; i += 2 * kFusedWarps) {
    const int mine = min(i + lane / 16, count - 1);
    const float* from = parts + min(split, a.splits - 1) * 3 * share + mine;
    const float top = split < a.splits ? from[share] : kNoScore;
    const float factor = exp2f(top - WarpMax<16>(top));
    const float part = WarpSum<16>(factor * from[0]);
    const float weight = WarpSum<16>(factor * from[2 * share]);
    if (split == 0)
      Publish(a.mixed + s.FirstHead<kUneven>(a, heads) * kD + first + mine, part / weight, tag);
  }
}

}  // namespace awq::cuda
