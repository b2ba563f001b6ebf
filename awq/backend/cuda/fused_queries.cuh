// Which keys a thread block of fused_layers.cuh sees, and the queries that it sees them with.
#pragma once

#include "awq/backend/cuda/fused_args.h"
#include "awq/backend/cuda/fused_hop.cuh"
#include "awq/backend/cuda/fused_ring.cuh"
#include "awq/backend/cuda/numeric.cuh"

namespace awq::cuda {

// What one block of the grid does in attention.
struct FusedSplit {
  int group, split;  // of heads, and which part of the keys
  int kv_head;
  int length;      // of all keys, with this token's
  int begin, end;  // keys; the first ones may lie before
  int first;       // what the window leaves
  bool newest;     // whether this token's own key is among them
  bool takes_part;
  __device__ FusedSplit(const FusedArgs& a, int block) {
    group = block / a.splits;
    split = block - group * a.splits;
    takes_part = group < a.groups;
    kv_head = group / (a.groups / a.kv_heads);
    length = *a.kv_len;
    SetKeys(a, 0);
  }
  // Those of the layers of a reach.
  __device__ void SetKeys(const FusedArgs& a, int reach) {
    const int window = a.reaches[reach].window;
    first = window > 0 ? max(0, length - window) : 0;
    const int start = first / 16 * 16;
    const int span = (((length - start + a.splits - 1) / a.splits) + 15) / 16 * 16;
    begin = min(start + split * span, length);
    end = min(begin + span, length);
    newest = begin < length && end == length;
  }
  // Of the group. kUneven: those of a kv head are shared out as evenly as they can be, the first
  // groups having one more.
  template <bool kUneven>
  __device__ int Heads(const FusedArgs& a) const {
    return kUneven ? Share(a).count : a.heads / a.groups;
  }
  template <bool kUneven>
  __device__ int FirstHead(const FusedArgs& a, int heads) const {
    if (!kUneven) return group * heads;
    return kv_head * (a.heads / a.kv_heads) + Share(a).first;
  }

 private:
  __device__ FusedShare Share(const FusedArgs& a) const {
    const int parts = a.groups / a.kv_heads;
    return FusedShare(a.heads / a.kv_heads, parts, group % parts);
  }
};

// Awaits the queries of this block's heads and, where it is told, this token's key and value; turns
// them by the angles of the layer's reach and stores what belongs into the cache. A warp takes a
// head, a lane pairs of elements that are half a head apart.
template <typename C, int kD, bool kUneven>
__device__ inline void AwaitQueries(const FusedArgs& a, const FusedLayer& layer, int index,
                                    const FusedSplit& s, int reach, uint32_t tag, uint8_t* shared) {
  constexpr int kHalf = kD / 2;
  constexpr int kPairs = (kHalf + 31) / 32;  // of a lane
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int heads = s.Heads<kUneven>(a);
  if (warp >= heads + (s.newest ? 2 : 0)) return;
  const bool is_key = warp == heads;
  const bool is_value = warp > heads;
  const int head = is_value ? a.heads + a.kv_heads + s.kv_head
                   : is_key ? a.heads + s.kv_head
                            : s.FirstHead<kUneven>(a, heads) + warp;
  const float* from = a.qkv + head * kD + lane;
  float v[2][kPairs];
  bool there;
  const auto has = [&](int i) { return kHalf % 32 == 0 || lane + i % kPairs * 32 < kHalf; };
  const auto place = [](int i) { return i / kPairs * kHalf + i % kPairs * 32; };
  do {
    there = true;
#pragma unroll
    for (int i = 0; i < 2 * kPairs; ++i) {
      if (!has(i)) {
        v[i / kPairs][i % kPairs] = 0.0f;
        continue;
      }
      there = Load(from + place(i), tag, v[i / kPairs][i % kPairs]) && there;
    }
  } while (!there);
  __syncwarp();
  if (!is_value) {
    const float* norm = layer.head_norms[is_key ? 1 : 0];
    if (norm != nullptr) {
      float squares = 0.0f;
#pragma unroll
      for (int i = 0; i < 2 * kPairs; ++i)
        squares += v[i / kPairs][i % kPairs] * v[i / kPairs][i % kPairs];
      const float inverse = rsqrtf(WarpSum(squares) / static_cast<float>(kD) + a.epsilon);
#pragma unroll
      for (int i = 0; i < 2 * kPairs; ++i) {
        if (has(i)) v[i / kPairs][i % kPairs] *= inverse * norm[lane + place(i)];
      }
    }
    const auto* cosines =
        reinterpret_cast<const float2*>(shared + a.shared.cosines) + reach * kHalf;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      if (!has(i)) break;
      const float2 cs = cosines[lane + 32 * i];
      const float x = v[0][i];
      v[0][i] = x * cs.x - v[1][i] * cs.y;
      v[1][i] = v[1][i] * cs.x + x * cs.y;
    }
  }
  if (!is_key && !is_value) {
    auto* to = reinterpret_cast<float*>(shared + a.shared.queries) + warp * kD + lane;
#pragma unroll
    for (int i = 0; i < 2 * kPairs; ++i) {
      if (has(i)) to[place(i)] = v[i / kPairs][i % kPairs] * a.scale;
    }
    return;
  }
  const int position = s.end - 1;
  const int64_t page = a.table[position / a.page_size];
  C* cache = static_cast<C*>(a.caches[is_value ? 1 : 0][index]) +
             ((page * a.kv_heads + s.kv_head) * a.page_size + position % a.page_size) * kD + lane;
  C* to = reinterpret_cast<C*>(shared + a.shared.tokens) + (is_value ? kD : 0) + lane;
#pragma unroll
  for (int i = 0; i < 2 * kPairs; ++i) {
    if (has(i)) to[place(i)] = cache[place(i)] = FromFloat<C>(v[i / kPairs][i % kPairs]);
  }
}

}  // namespace awq::cuda
