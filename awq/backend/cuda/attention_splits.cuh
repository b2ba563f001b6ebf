// Which parts of which sequences' keys a thread block has.
#pragma once

#include "awq/backend/cuda/attention.cuh"
#include "awq/backend/cuda/attention_plan.h"

namespace awq::cuda {

// The keys of a sequence that a thread block has at a time; the kv head is blockIdx.y.
struct Part {
  int sequence;
  int index, count;  // this part, of so many of the sequence
  int place;         // of its sums among those of a kv head; those of a sequence are neighbours
};

// A block's only part where each sequence has a.splits of them, neighbours in blockIdx.z.
__device__ inline Part EvenPart(const AttentionShape& a) {
  const int z = static_cast<int>(blockIdx.z);
  return {.sequence = z / a.splits, .index = z % a.splits, .count = a.splits, .place = z};
}

// Hands a block the part that it has where each sequence has a.splits.
template <int kRows>
class OnePart {
 public:
  static constexpr int kInts = 1;  // of shared memory; unused

  __device__ OnePart(const AttentionShape& a, int* /*shared*/)
      : part_(EvenPart(a)), span_(a, part_.sequence, 0, kRows, part_.index, part_.count) {
    is_left_ = span_.rows > 0 && span_.IsShort(a);
  }
  __device__ bool HasMore() const { return is_left_; }
  __device__ Part Next(const AttentionShape& /*a*/, KeySpan& span) {
    is_left_ = false;
    span = span_;
    return part_;
  }

 private:
  Part part_;
  KeySpan span_;
  bool is_left_;
};

// Hands a block its parts where sequences share a.columns of them (TilesOfBlock).
template <int kRows>
class TileShares {
 public:
  static constexpr int kInts = kMostShared + 1;  // of shared memory

  // By all threads of a block, whose number is a multiple of 32. shared: kInts numbers.
  __device__ TileShares(const AttentionShape& a, int* shared) : ends_(shared) {
    const int thread = static_cast<int>(threadIdx.x);
    for (int b = thread; b < a.sequences; b += static_cast<int>(blockDim.x)) {
      const KeySpan span(a, b, 0, kRows);
      ends_[b] = span.rows > 0 && span.IsShort(a) ? span.tile_end - span.tile_begin : 0;
    }
    __syncthreads();
    if (thread < 32) {
      int before = 0;
      int longest = 0;
      for (int from = 0; from < a.sequences; from += 32) {
        const int b = from + thread;
        const int tiles = b < a.sequences ? ends_[b] : 0;
        longest = max(longest, tiles);
        const int end = before + WarpSumUpTo(tiles);
        if (b < a.sequences) ends_[b] = end;
        before = __shfl_sync(~0u, end, 31);
      }
      longest = static_cast<int>(WarpMax(static_cast<float>(longest)));
      if (thread == 0) ends_[kMostShared] = TilesOfBlock(before, longest, a.columns);
    }
    __syncthreads();
    const int each = ends_[kMostShared];
    next_ = static_cast<int>(blockIdx.z) * each;
    end_ = min(next_ + each, ends_[a.sequences - 1]);
  }

  __device__ bool HasMore() const { return next_ < end_; }
  // By whole warps. span: of the part.
  __device__ Part Next(const AttentionShape& a, KeySpan& span) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int column = static_cast<int>(blockIdx.z);
    const int each = ends_[kMostShared];
    int b = 0;
    for (int from = 0; from < a.sequences; from += 32) {
      b += __popc(__ballot_sync(~0u, from + lane < a.sequences && ends_[from + lane] <= next_));
    }
    const int first = b > 0 ? ends_[b - 1] : 0;
    const int last = ends_[b];
    const int stop = min(last, end_);
    span = KeySpan(a, b, 0, kRows);
    span.Narrow(next_ - first, stop - first);
    next_ = stop;
    const PartNumber number = NumberOfPart(first, last, each, column);
    return {.sequence = b, .index = number.index, .count = number.count, .place = column + b};
  }

 private:
  int* ends_;       // of each sequence, among all tiles; behind them, tiles of a block
  int next_, end_;  // tiles of this block that are left
};

}  // namespace awq::cuda
