// What streams through the ring of fused_layers.cuh: the weights of a thread block's row tiles and
// its part of the keys and values, in the order of their use; of routed experts, once they are
// chosen.
#pragma once

#include "awq/backend/cuda/fused_queries.cuh"
#include "awq/backend/cuda/fused_ring.cuh"
#include "awq/backend/cuda/fused_route.cuh"

namespace awq::cuda {

// What a block has of a linear.
__device__ inline FusedShare ShareOf(const FusedArgs& a, int linear, int q_size, int kv_size) {
  const int n = linear == kFusedQkv      ? q_size + 2 * kv_size
                : linear == kFusedGateUp ? 2 * a.ffn
                                         : a.hidden;
  return FusedShare(n / kTileN, static_cast<int>(gridDim.x), static_cast<int>(blockIdx.x));
}
__device__ inline int BlocksOf(const FusedArgs& a, int linear, int q_size) {
  return (linear == kFusedO ? q_size : linear == kFusedDown ? a.ffn : a.hidden) / kBlockK;
}

// Asks for bytes [at, at + bytes) of a row tile of what is chosen of experts.
__device__ inline void CopyOfExperts(const FusedArgs& a, const FusedExpert* chosen, int linear,
                                     int tile, int at, int bytes, uint32_t to, uint32_t bar) {
  if (linear == kFusedGateUp) {
    const int tiles = 2 * a.expert_blocks * (kBlockK / kTileN);
    const int row_bytes = a.hidden / kBlockK * a.block_bytes;
    const uint8_t* from = chosen[tile / tiles].gate_up + int64_t{tile % tiles} * row_bytes;
    BulkCopy(to, from + at, bytes, bar);
    return;
  }
  const int row_bytes = a.expert_blocks * a.block_bytes;
#pragma unroll 1
  for (int end = at + bytes; at < end;) {
    const int expert = at / row_bytes;
    const int first = at - expert * row_bytes;
    const int count = min(row_bytes - first, end - at);
    BulkCopy(to, chosen[expert].down + int64_t{tile} * row_bytes + first, count, bar);
    to += count;
    at += count;
  }
}

// One thread.
template <typename C, FusedKind kKind>
__device__ inline void FeedRing(const FusedArgs& a, int d, uint8_t* shared, FusedSplit& s) {
  constexpr bool kExperts = kKind == FusedKind::kRouted;
  constexpr bool kSandwich = kKind == FusedKind::kSandwich;
  RingFeed ring(a.shared, SharedAddress(shared));
  const int q_size = a.heads * d;
  const auto* layers = reinterpret_cast<const FusedLayer*>(shared + a.shared.layers);
  const auto* pages = reinterpret_cast<const int*>(shared + a.shared.pages);
  const auto* sandwiches = reinterpret_cast<const FusedSandwich*>(shared + a.shared.sandwiches);
#pragma unroll 1
  for (int l = 0; l < a.num_layers; ++l) {
    if constexpr (kSandwich) s.SetKeys(a, sandwiches[l].reach);
#pragma unroll 1
    for (int linear = 0; linear < kFusedLinears; ++linear) {
      if (linear == kFusedO && s.takes_part) {
        const uint32_t key_bytes = d * static_cast<uint32_t>(sizeof(C));
#pragma unroll 1
        for (int chunk = s.begin; chunk < s.end; chunk += a.chunk_keys) {
          const int end = min(chunk + a.chunk_keys, (s.end + 15) / 16 * 16);
          const uint32_t bar = ring.Room((end - chunk) * 2 * key_bytes, kFusedKeysAhead);
          uint32_t to = ring.slot;
#pragma unroll 1
          for (int key = chunk; key < end; key += 16, to += 16 * key_bytes) {
            const int64_t page =
                kSandwich ? __ldg(a.table + key / a.page_size) : pages[(key - s.begin) / 16];
            const int64_t at =
                ((page * a.kv_heads + s.kv_head) * a.page_size + key % a.page_size) * key_bytes;
            BulkCopy(to, static_cast<const uint8_t*>(a.caches[0][l]) + at, 16 * key_bytes, bar);
            BulkCopy(to + a.chunk_keys * key_bytes,
                     static_cast<const uint8_t*>(a.caches[1][l]) + at, 16 * key_bytes, bar);
          }
          ring.Next();
        }
      }
      const FusedShare share = ShareOf(a, linear, q_size, a.kv_heads * d);
      const int row_bytes = BlocksOf(a, linear, q_size) * a.block_bytes;
      const int slot_bytes = kFusedWarps * a.block_bytes;
      const uint8_t* from = layers[l].weights[linear] + int64_t{share.first} * row_bytes;
      const bool of_experts = kExperts && linear >= kFusedGateUp;
      if (kExperts && linear == kFusedGateUp) {
        BarrierWait(SharedAddress(shared) + a.shared.routed, l & 1);
      }
      int issued = 0;
#pragma unroll 1
      for (int tile = 0; tile < share.count; tile += 2, from += 2 * row_bytes) {
        const int tiles = min(2, share.count - tile);
#pragma unroll 1
        for (int at = 0; at < row_bytes; at += slot_bytes) {
          const int bytes = min(slot_bytes, row_bytes - at);
#pragma unroll 1
          for (int e = 0; e < tiles; ++e) {
            const bool streams = of_experts || ++issued > a.shared.slots;
            const uint32_t bar = ring.Room(bytes, streams ? kFusedStream : kFusedAhead);
            if (of_experts) {
              CopyOfExperts(a, ChosenExperts(a, shared), linear, share.first + tile + e, at, bytes,
                            ring.slot, bar);
            } else {
              BulkCopy(ring.slot, from + e * row_bytes + at, bytes, bar);
            }
            ring.Next();
          }
        }
      }
    }
  }
}

}  // namespace awq::cuda
