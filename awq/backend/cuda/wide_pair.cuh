// Pieces of work of wide_linear.cuh for two thread blocks, a cluster, with the same rows of x,
// which come from L2 once.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/wide_tile.cuh"

namespace awq::cuda {

// A tile of both blocks, all of its inputs.
struct SharedItem : TilePlace {
  static constexpr bool kRouted = false;
  static constexpr bool kSharesX = true;
  static constexpr bool kParts = false;
  static constexpr int begin = 0;
  int end;
  int rank;  // of this block
  __device__ static int First() { return ClusterIndex(); }
  __device__ static int Takers() { return static_cast<int>(gridDim.x) / 2; }
  __device__ static int Count(const WideArgs& a) { return a.m_tiles * a.n_tiles; }
  __device__ const void* Weights(const WideArgs& a) const { return &a.weights; }
  __device__ SharedItem(const WideArgs& a, int tile)
      : TilePlace(a, tile), end(a.blocks_per_row), rank(static_cast<int>(ClusterRank())) {}
};

// Each block makes one half of the outputs.
struct TwinItem : SharedItem {
  static constexpr bool kPair = false;
  __device__ TwinItem(const WideArgs& a, int tile) : SharedItem(a, tile) {
    n_tile = 2 * n_tile + rank;
  }
};

// The tile has an odd number of times 64 outputs. The last warpgroups of both blocks make the same
// ones, block 0 of even steps, block 1 of odd ones: 28672 outputs are 64 tiles of seven times 64
// that fill 128 of 132 SMs, where they would fill 112 by four a block.
struct PairItem : SharedItem {
  static constexpr bool kPair = true;
  __device__ PairItem(const WideArgs& a, int tile) : SharedItem(a, tile) {}
  template <typename Size>
  __device__ bool Takes(int step, int group) const {
    return group < Size::kWarpgroups - 1 || step % 2 == rank;
  }
  template <typename Size>
  __device__ int FirstOutput(int group) const {
    constexpr int kOwn = Size::kWarpgroups - 1;
    const int place = group == kOwn ? kOwn : rank * (kOwn + 1) + group;
    return (n_tile * (2 * kOwn + 1) + place) * 64;
  }
  template <typename Size, typename Codes>
  __device__ void CopyWeights(const void* map, int step, uint32_t to, uint32_t bar) const {
    const int groups = Size::kWarpgroups - (step % 2 == rank ? 0 : 1);
    BarrierExpect(bar, 4 * groups * Codes::kBlockBytes);
    for (int group = 0; group < groups; ++group) {
      Codes::CopyBlocks(to + group * Size::GroupBytes(Codes::kBlockBytes), map, step,
                        FirstOutput<Size>(group) / kTileN, bar);
    }
  }
};

// The sums that both blocks of a pair have of the same outputs: each stores half of the rows. What
// the other block sends lies in `sums`, [eight rows][thread] four floats.
template <int kM>
class PairSums {
 public:
  // arrived: a barrier that expects the first sums, and behind it one for four warps.
  __device__ PairSums(const uint8_t* sums, uint32_t arrived)
      : sums_(sums + threadIdx.x % 128 * 16), arrived_(arrived) {}

  // Of acc those that this block stores go to kept, the rest to the other one.
  __device__ void Send(int rank, const float (&acc)[kM / 2], float (&kept)[kM / 4]) {
    BarrierWait(arrived_ + 8, phase_ ^ 1);  // until it has added what it got before
    const uint32_t to = ClusterAddress(SharedAddress(sums_), 1 - rank);
    const uint32_t counts = ClusterAddress(arrived_, 1 - rank);
#pragma unroll
    for (int quad = 0; quad < kM / 16; ++quad) {
      float v[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float low = acc[4 * quad + i];
        const float high = acc[kM / 4 + 4 * quad + i];
        kept[4 * quad + i] = rank == 0 ? low : high;
        v[i] = rank == 0 ? high : low;
      }
      ClusterStore(to + quad * 2048, counts, v);
    }
  }
  // Adds those of the other block, which waits for that if there are `more` items: else it may end.
  __device__ void Add(int rank, bool more, float (&kept)[kM / 4]) {
    BarrierWait(arrived_, phase_);
#pragma unroll
    for (int quad = 0; quad < kM / 16; ++quad) {
      const auto v = *reinterpret_cast<const float4*>(sums_ + quad * 2048);
      kept[4 * quad] += v.x;
      kept[4 * quad + 1] += v.y;
      kept[4 * quad + 2] += v.z;
      kept[4 * quad + 3] += v.w;
    }
    if (!more) return;
    __syncwarp();
    if (threadIdx.x % 32 == 0) ClusterBarrierArrive(ClusterAddress(arrived_ + 8, 1 - rank));
    // The next ones come when all warps have taken these.
    if (threadIdx.x % 128 == 0) BarrierExpect(arrived_, kPairBytes<kM>);
    phase_ ^= 1;
  }

 private:
  const uint8_t* sums_;
  uint32_t arrived_;
  uint32_t phase_ = 0;
};

}  // namespace awq::cuda
