// Which keys a thread block of fused_layers.cuh sees, and the queries that it sees them with.
#pragma once

#include "awq/backend/cuda/fused_args.h"
#include "awq/backend/cuda/fused_hop.cuh"
#include "awq/backend/cuda/numeric.cuh"

namespace awq::cuda {

// What one block of the grid does in attention.
struct FusedSplit {
  int group, split;  // of heads, and which part of the keys
  int kv_head;
  int begin, end;  // keys; the first ones may lie before
  int first;       // what the window leaves
  bool newest;     // whether this token's own key is among them
  bool takes_part;
  __device__ FusedSplit(const FusedArgs& a, int block) {
    group = block / a.splits;
    split = block - group * a.splits;
    takes_part = group < a.groups;
    kv_head = group / (a.groups / a.kv_heads);
    const int length = *a.kv_len;
    first = a.window > 0 ? max(0, length - a.window) : 0;
    const int start = first / 16 * 16;
    const int span = (((length - start + a.splits - 1) / a.splits) + 15) / 16 * 16;
    begin = min(start + split * span, length);
    end = min(begin + span, length);
    newest = begin < length && end == length;
  }
};

// Awaits the queries of this block's heads and, where it is told, this token's key and value; turns
// them and stores what belongs into the cache. A warp takes a head, a lane kEach pairs of elements
// that are half a head apart.
template <typename C, int kEach>
__device__ inline void AwaitQueries(const FusedArgs& a, const FusedLayer& layer, int index,
                                    const FusedSplit& s, uint32_t tag, uint8_t* shared) {
  constexpr int kD = 32 * kEach;
  constexpr int kPairs = kEach / 2;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int heads = a.heads / a.groups;
  if (warp >= heads + (s.newest ? 2 : 0)) return;
  const bool is_key = warp == heads;
  const bool is_value = warp > heads;
  const int head = is_value ? a.heads + a.kv_heads + s.kv_head
                   : is_key ? a.heads + s.kv_head
                            : s.group * heads + warp;
  const float* from = a.qkv + head * kD + lane;
  float v[2][kPairs];
  bool there;
  do {
    there = true;
#pragma unroll
    for (int i = 0; i < 2 * kPairs; ++i) {
      there = Load(from + 32 * i, tag, v[i / kPairs][i % kPairs]) && there;
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
      for (int i = 0; i < 2 * kPairs; ++i)
        v[i / kPairs][i % kPairs] *= inverse * norm[lane + 32 * i];
    }
    const auto* cosines = reinterpret_cast<const float2*>(shared + a.shared.cosines);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const float2 cs = cosines[lane + 32 * i];
      const float x = v[0][i];
      v[0][i] = x * cs.x - v[1][i] * cs.y;
      v[1][i] = v[1][i] * cs.x + x * cs.y;
    }
  }
  if (!is_key && !is_value) {
    auto* to = reinterpret_cast<float*>(shared + a.shared.queries) + warp * kD + lane;
#pragma unroll
    for (int i = 0; i < 2 * kPairs; ++i) to[32 * i] = v[i / kPairs][i % kPairs] * a.scale;
    return;
  }
  const int position = s.end - 1;
  const int64_t page = a.table[position / a.page_size];
  C* cache = static_cast<C*>(a.caches[is_value ? 1 : 0][index]) +
             ((page * a.kv_heads + s.kv_head) * a.page_size + position % a.page_size) * kD + lane;
  C* to = reinterpret_cast<C*>(shared + a.shared.tokens) + (is_value ? kD : 0) + lane;
#pragma unroll
  for (int i = 0; i < 2 * kPairs; ++i) {
    to[32 * i] = cache[32 * i] = FromFloat<C>(v[i / kPairs][i % kPairs]);
  }
}

}  // namespace awq::cuda
