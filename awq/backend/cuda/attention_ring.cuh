// The ring of keys and values that attention_wgmma.cuh multiplies, and the two ways to fill it.
#pragma once

#include <cuda.h>

#include "awq/backend/cuda/attention.cuh"

namespace awq::cuda {

inline constexpr int kWgmmaKeys = 128;     // of a tile
inline constexpr int kLatentBoxKeys = 32;  // of a LatentSource
inline constexpr int kBoxKeys = 16;        // of a copy; a page has a multiple of them
// Heads of more than 128 elements take tiles of half as many keys, and have their queries in shared
// memory: registers hold sums.
AWQ_HD constexpr bool IsLargeHead(int d) { return d > 128; }
AWQ_HD constexpr int WgmmaKeys(int d) { return IsLargeHead(d) ? kWgmmaKeys / 2 : kWgmmaKeys; }
inline constexpr int kWarpgroupRows = 64;
// kShared: elements of a key beside D that all heads share (LatentSource).
template <typename C, int D, int kShared = 0>
constexpr int WgmmaSharedBytes() {
  const int ring = 2 * 2 * WgmmaKeys(D) * (2 * D + kShared);
  const int queries = IsLargeHead(D) ? 2 * kWarpgroupRows * 2 * D : 0;
  return 1024 + ring + queries + (kIsE4m3<C> ? 4 * 2 * TileLoader<C, D>::kBytes : 0);
}

// Two stages of keys and of values, each with a barrier for "full" and one for "empty".
struct KeyRing {
  uint32_t tiles;              // [stage][keys, values]
  uint32_t barriers;           // [stage][keys, values][full, empty]
  int key_bytes, value_bytes;  // of a tile

  __device__ uint32_t Tile(int tile, int which) const {
    return tiles + (tile & 1) * (key_bytes + value_bytes) + which * key_bytes;
  }
  __device__ uint32_t Full(int tile, int which) const {
    return barriers + ((tile & 1) * 2 + which) * 16;
  }
  __device__ uint32_t Empty(int tile, int which) const { return Full(tile, which) + 8; }
  // Tiles are counted from 0, through all that a block works on.
  __device__ void WaitFull(int tile, int which) const {
    BarrierWait(Full(tile, which), tile >> 1 & 1);
  }
  __device__ void WaitEmpty(int tile, int which) const {
    BarrierWait(Empty(tile, which), (tile >> 1 & 1) ^ 1);
  }
};

// Where kShared elements of a key that all heads share, and of each query, come from; keys and
// values then lie in rows, those of all sequences behind each other, of each head in turn, and the
// block table says which is a sequence's first.
struct LatentSource {
  const CUtensorMap* shared = nullptr;  // rows of keys
  int column = 0;                       // of their kShared elements
  int rows = 0;                         // of a head
  const void* q = nullptr;
  int64_t q_stride = 0;  // of a token
};

// By one warp: copies the keys and values that rows see, tile `first` of the ring and those behind
// it; returns the next.
template <int D>
__device__ int FillRing(const AttentionShape& a, const KeyRing& ring, const CUtensorMap* keys,
                        const CUtensorMap* values, const int* table, int g, int first_key,
                        int end_key, int first) {
  constexpr int kKeys = WgmmaKeys(D);
  constexpr int kBoxes = kKeys / kBoxKeys;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int part = lane / kBoxes;  // of 64 elements
  int tile = first;
  for (int begin = first_key; begin < end_key; begin += kKeys, ++tile) {
    const int key = begin + lane % kBoxes * kBoxKeys;
    const bool copies = part < D / 64 && key < end_key;
    const int page = copies ? __ldg(table + (key >> a.page_shift)) : 0;
    const int row = (page * a.kv_heads + g) * a.page_size + (key & (a.page_size - 1));
    const int boxes = __popc(__ballot_sync(~0u, copies));
#pragma unroll
    for (int which = 0; which < 2; ++which) {
      ring.WaitEmpty(tile, which);
      if (lane == 0) BarrierExpect(ring.Full(tile, which), boxes * kBoxKeys * 128);
      __syncwarp();
      if (copies) {
        BoxCopy(ring.Tile(tile, which) + part * kKeys * 128 + lane % kBoxes * kBoxKeys * 128,
                which == 0 ? keys : values, 64 * part, row, ring.Full(tile, which));
      }
    }
  }
  return tile;
}

// The same of a LatentSource.
template <int D, int kShared>
__device__ int FillLatentRing(const LatentSource& latent, const KeyRing& ring,
                              const CUtensorMap* keys, const CUtensorMap* values, int first_row,
                              int g, int end_key, int first) {
  constexpr int kBoxes = kWgmmaKeys / kLatentBoxKeys;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int part = lane / kBoxes;  // of 64 elements
  const int place = part * kWgmmaKeys * 128 + lane % kBoxes * kLatentBoxKeys * 128;
  int tile = first;
  for (int begin = 0; begin < end_key; begin += kWgmmaKeys, ++tile) {
    const int key = begin + lane % kBoxes * kLatentBoxKeys;
    const int row = first_row + key;
#pragma unroll
    for (int which = 0; which < 2; ++which) {
      const bool own = part < D / 64 && key < end_key;
      const bool common =
          which == 0 && part >= D / 64 && part < (D + kShared) / 64 && key < end_key;
      const int boxes = __popc(__ballot_sync(~0u, own || common));
      ring.WaitEmpty(tile, which);
      if (lane == 0) BarrierExpect(ring.Full(tile, which), boxes * kLatentBoxKeys * 128);
      __syncwarp();
      if (own) {
        BoxCopy(ring.Tile(tile, which) + place, which == 0 ? keys : values, 64 * part,
                g * latent.rows + row, ring.Full(tile, which));
      }
      if (common) {
        BoxCopy(ring.Tile(tile, which) + place, latent.shared, latent.column + 64 * part - D, row,
                ring.Full(tile, which));
      }
    }
  }
  return tile;
}

// The same by four warps, each thread what it has copied itself: the bytes of two tiles lie behind
// the ring.
template <typename C, int D>
__device__ int ExpandIntoRing(const AttentionShape& a, const KeyRing& ring, int sequence, int g,
                              int first_key, int end_key, int first) {
  using Loader = TileLoader<C, D>;
  constexpr int kParts = kWgmmaKeys / kTileKeys;
  const Loader loader(a, sequence, g, static_cast<int>(threadIdx.x) % (32 * kAttentionWarps));
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto bytes_of = [&](int tile, int which) {
    return ring.tiles + 2 * (ring.key_bytes + ring.value_bytes) +
           (tile % 2 * 2 + which) * kParts * Loader::kBytes;
  };
  const auto copy = [&](int tile) {
    const int key = first_key + (tile - first) * kWgmmaKeys;
    typename Loader::Places places[kParts];
#pragma unroll
    for (int p = 0; p < kParts; ++p) places[p] = loader.Find(a, key / kTileKeys + p, end_key);
#pragma unroll
    for (int which = 0; which < 2; ++which) {
#pragma unroll
      for (int p = 0; p < kParts; ++p) {
        loader.Load(which == 0 ? a.keys : a.values, places[p],
                    bytes_of(tile, which) + p * Loader::kBytes);
      }
      AsyncCommit();
    }
  };
  // 16 bytes become two chunks of a row of 64 elements, of which the second half's come in the
  // other order: eight lanes store to all banks.
  const int half = loader.chunk() / 4;
  const auto expand = [&](int tile, int which) {
    ring.WaitEmpty(tile, which);
    uint32_t from = bytes_of(tile, which) + loader.row() * Loader::kRowBytes + 16 * loader.chunk();
    uint32_t to = ring.Tile(tile, which) + half * kWgmmaKeys * 128 + loader.row() * 128;
    const int chunk = (loader.chunk() % 4 * 2 + half) ^ loader.row() % 8;
    static_assert(Loader::kRowStep % 8 == 0 && kTileKeys % Loader::kRowStep == 0);
#pragma unroll
    for (int i = 0; i < kParts * Loader::kIterations; ++i) {
      uint32_t codes[4];
      LoadShared(from, codes);
      from += Loader::kRowStep * Loader::kRowBytes;
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const bool later = e != half;
        const F16Pairs low = ExpandE4m3(later ? codes[2] : codes[0]);
        const F16Pairs high = ExpandE4m3(later ? codes[3] : codes[1]);
        StoreShared(to + 16 * (chunk ^ e), low.low, low.high, high.low, high.high);
      }
      to += Loader::kRowStep * 128;
    }
    AsyncProxyFence();
    __syncwarp();
    if (lane == 0) BarrierArrive(ring.Full(tile, which));
  };
  int tile = first;
  copy(tile);
  for (int begin = first_key; begin < end_key; begin += kWgmmaKeys, ++tile) {
    copy(tile + 1);
    AsyncWait<3>();
    expand(tile, 0);
    AsyncWait<2>();
    expand(tile, 1);
  }
  AsyncWait<0>();
  return tile;
}

}  // namespace awq::cuda
