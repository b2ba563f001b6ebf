// The warps of held_q4 that add up sums, store them, and keep the ring of weights full.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/gate.cuh"
#include "awq/backend/cuda/held_block.cuh"
#include "awq/backend/cuda/held_codes.cuh"

namespace awq::cuda {

// In shared memory row m of a tile's sums is at place m / 2, or, if it is odd, behind all even
// ones, and eights of outputs change places in every other pair of places: without bank conflicts
// for lanes that write two outputs of an even row, and for lanes that read four.
AWQ_HD constexpr int HeldSumIndex(int rows, int m, int output) {
  const int place = m / 2 + m % 2 * (rows / 2);
  return place * kTileN + (output ^ 8 * (place / 2 % 2));
}

// A place in the window of row tiles, and how often the window has been gone through.
struct HeldPlace {
  int place = 0;
  uint32_t lap = 0;

  // As far as the window goes at most, unless nothing comes behind.
  __device__ void Advance(int by, int window) {
    place += by;
    if (place >= window) place -= window, ++lap;
  }
};

// Two groups of warps take row tiles in turn; a thread adds up four outputs of a row of x. What
// holds up a group holds up all warps soon: no divisions here.
template <typename T, HeldTile kTile, int kBlockBytes>
struct HeldAdder {
  static constexpr float kUnit = RawCodes<T>::kUnit;  // of the sums
  const HeldBlock<kTile, kBlockBytes>& b;
  int group, lane;
  int t;           // of this group's threads
  int m, outputs;  // this thread's, of a row tile
  int parts, window;
  // Where this thread reads the warps' sums, sends its own of a window's first row tile, and reads
  // those that were sent.
  uint32_t sums, sent, got;
  uint32_t stride;  // of a window's row tiles
  bool whole;       // whether its outputs can be stored at once

  __device__ HeldAdder(const HeldBlock<kTile, kBlockBytes>& block, int thread)
      : b(block),
        group(thread / (32 * kTile.cols)),
        lane(thread % 32),
        t(thread % (32 * kTile.cols)),
        parts(block.a.plan.parts),
        window(block.a.plan.window),
        sums(block.sums + group * kTile.warps * kTile.TileBytes() + 16 * t),
        sent(block.exchange + block.rank * kTile.TileBytes() + 16 * t),
        got(block.exchange + 16 * t),
        stride(parts * kTile.TileBytes()),
        whole(block.a.bias == nullptr && !block.a.y_f32 && block.a.y_stride % 4 == 0 &&
              reinterpret_cast<uintptr_t>(block.a.y) % 8 == 0) {
    // Not to be worked out again from the kernel's arguments.
    Keep(parts), Keep(window), Keep(sums), Keep(sent), Keep(got), Keep(stride);
    constexpr int kHalf = kTile.Rows() / 2;
    const int place = t / 4;
    m = 2 * (place % kHalf) + place / kHalf;
    outputs = 4 * (t % 4) ^ 8 * (place / 2 % 2);
  }

  __device__ void Run() {
    const int slots = b.a.plan.slots;
    if (group == 0 && t == 0) {
      for (int s = 0; s < min(b.a.plan.early_slots, b.count); ++s) b.Fetch(s, s);
    }
    __syncwarp();
    WaitForPreviousKernel();  // which may still use y
    if (group == 0 && t == 0) {
      BarrierWait(b.x_taken, 0);  // its place is the ring's now
      for (int s = b.a.plan.early_slots; s < min(slots, b.count); ++s) b.Fetch(s, s);
    }
    __syncwarp();
    if (parts > 1) ClusterWait();
    int slot = group;
    int owner = group;                 // part i % parts of the cluster, which adds up row tile i
    HeldPlace round;                   // i / parts
    int own = group * parts + b.rank;  // this part's row tile whose sums it adds up next
    HeldPlace own_round;
    own_round.Advance(group, max(window, 1));
    uint32_t lap = 0;
    for (int i = group; i < b.count; i += 2, lap ^= 1) {
      BarrierWait(b.summed + 8 * group, lap);
      float y[4];
      AddWarps(y);
      __syncwarp();
      if (lane == 0) BarrierArrive(b.added + 8 * group);
      if (t == 0 && i + slots < b.count) b.Fetch(i + slots, slot);
      __syncwarp();
      slot += 2;
      if (slot >= slots) slot -= slots;
      if (parts == 1) {
        Store(i, y);
        continue;
      }
      Send(owner, round, y);
      owner += 2;
      if (owner >= parts) owner -= parts, round.Advance(1, window);
      if (own + 2 * parts <= i) {
        Finish(own, own_round);
        own += 2 * parts;
        own_round.Advance(2, window);
      }
    }
    for (; parts > 1 && own < b.count; own += 2 * parts, own_round.Advance(2, window)) {
      Finish(own, own_round);
    }
  }

 private:
  __device__ void AddWarps(float (&y)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) y[i] = 0.0f;
#pragma unroll
    for (int w = 0; w < kTile.warps; ++w) {
      float v[4];
      LoadShared(sums + w * kTile.TileBytes(), v);
#pragma unroll
      for (int i = 0; i < 4; ++i) y[i] += v[i];
    }
  }

  // To the part that adds up the row tile.
  __device__ void Send(int owner, const HeldPlace& round, const float (&y)[4]) const {
    if (round.lap > 0) BarrierWait(b.taken + 8 * round.place, (round.lap & 1) ^ 1);
    ClusterStore(ClusterAddress(sent + round.place * stride, owner),
                 ClusterAddress(b.arrived + 8 * round.place, owner), y);
  }

  // Adds up what the parts have sent of an own row tile.
  __device__ void Finish(int tile, const HeldPlace& round) const {
    const uint32_t arrived = b.arrived + 8 * round.place;
    if (t == 0) BarrierExpect(arrived, stride);
    __syncwarp();
    BarrierWait(arrived, round.lap & 1);
    uint32_t from = got + round.place * stride;
    float y[4] = {};
    for (int part = 0; part < parts; ++part, from += kTile.TileBytes()) {
      float v[4];
      LoadShared(from, v);
#pragma unroll
      for (int i = 0; i < 4; ++i) y[i] += v[i];
    }
    if (tile - b.rank + window * parts < b.count) {  // they will send more
      __syncwarp();
      if (lane < parts) ClusterBarrierArrive(ClusterAddress(b.taken + 8 * round.place, lane));
    }
    Store(tile, y);
  }

  // All four at once, or the two that they are with a gate.
  __device__ void StoreWhole(int n, const float (&y)[4]) const {
    const HeldArgs& a = b.a;
    T* row = static_cast<T*>(a.y) + m * a.y_stride;
    const float scale = a.scale * kUnit;
    if (a.gate < 0) {
      alignas(8) T v[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) v[i] = FromFloat<T>(y[i] * scale);
      *reinterpret_cast<uint2*>(row + n) = reinterpret_cast<const uint2&>(v);
      return;
    }
    alignas(4) T v[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      v[i] = FastGated<T>(a.gate, y[2 * i] * scale, y[2 * i + 1] * scale);
    }
    *reinterpret_cast<uint32_t*>(row + n / 2) = reinterpret_cast<const uint32_t&>(v);
  }

  __device__ void Store(int tile, const float (&y)[4]) const {
    const HeldArgs& a = b.a;
    const int n = (b.first_tile + tile) * kTileN + outputs;
    if (m >= a.m) return;
    if (whole && n + 4 <= a.n) return StoreWhole(n, y);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (n + i >= a.n) return;
      if (a.gate >= 0) {
        if (i % 2 == 0) StoreGated<T>(a, m, n + i, y[i] * kUnit, y[i + 1] * kUnit);
        continue;
      }
      StorePlain<T>(a, m, n + i, y[i], a.scale * kUnit);
    }
  }
};

}  // namespace awq::cuda
