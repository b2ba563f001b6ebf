// Pieces of work of wide_linear.cuh for two thread blocks, a cluster: a tile of seven times 64
// outputs. Three warpgroups of each block make 64 outputs of their own, the fourth of both the
// seventh 64, of half of the inputs each, while the block is at these; the other half comes to
// it later. That way 28672 outputs fill 128 of 132 SMs instead of 112.
#pragma once

#include "awq/backend/cuda/cluster.cuh"
#include "awq/backend/cuda/wide_tile.cuh"

namespace awq::cuda {

// Steps [begin, end) of a tile: block 0 begins with the first half of the inputs, block 1 with the
// second.
struct PairItem : TilePlace {
  static constexpr bool kRouted = false;
  static constexpr bool kPair = true;
  static constexpr int begin = 0;
  int end;
  int rank;        // of this block
  int first;       // of its blocks of inputs
  int end_shared;  // steps of the warpgroup whose outputs are shared

  __device__ static int First() { return ClusterIndex(); }
  __device__ static int Takers() { return static_cast<int>(gridDim.x) / 2; }
  __device__ static int Count(const WideArgs& a) { return a.m_tiles * a.n_tiles; }
  __device__ const void* Weights(const WideArgs& a) const { return &a.weights; }
  __device__ PairItem(const WideArgs& a, int tile)
      : TilePlace(a, tile), end(a.blocks_per_row), rank(static_cast<int>(ClusterRank())) {
    const int half = (end + 1) / 2;
    first = rank * half;
    end_shared = rank == 0 ? half : end - half;
  }
  __device__ int Block(int step) const {
    const int block = first + step;
    return block < end ? block : block - end;
  }
  template <typename Size>
  __device__ int EndOf(int group) const {
    return group == Size::kWarpgroups - 1 ? end_shared : end;
  }
  template <typename Size>
  __device__ int FirstOutput(int group) const {
    constexpr int kOwn = Size::kWarpgroups - 1;
    const int place = group == kOwn ? kOwn : rank * (kOwn + 1) + group;
    return (n_tile * (2 * kOwn + 1) + place) * 64;
  }
  template <typename Size, typename Codes>
  __device__ void CopyWeights(const void* map, int step, uint32_t to, uint32_t bar) const {
    const int groups = step < end_shared ? Size::kWarpgroups : Size::kWarpgroups - 1;
    BarrierExpect(bar, 4 * groups * Codes::kBlockBytes);
    for (int group = 0; group < groups; ++group) {
      Codes::CopyBlocks(to + group * Size::GroupBytes(Codes::kBlockBytes), map, Block(step),
                        FirstOutput<Size>(group) / kTileN, bar);
    }
  }
};

// The sums that both blocks have of the outputs that they share: each stores half of the rows. What
// the other block sends lies in `sums`, [eight rows][thread] four floats.
template <int kM>
class PairSums {
 public:
  // arrived: a barrier that expects the first sums, and behind it one for four warps.
  __device__ PairSums(const uint8_t* sums, uint32_t arrived)
      : sums_(sums + threadIdx.x % 128 * 16), arrived_(arrived) {}

  // Of acc those that this block stores go to kept, the rest to the other one.
  __device__ void Send(int rank, const float (&acc)[kM / 2], float (&kept)[kM / 4]) {
    if (first_) ClusterWait();  // until the other block has begun
    first_ = false;
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
  bool first_ = true;
};

}  // namespace awq::cuda
