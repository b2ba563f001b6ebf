// A range of keys of a row and its histogram: counts or weights of the tokens in bins of the range,
// in each block's shared memory, added up by all.
#pragma once

#include "awq/backend/cuda/sample_slice.cuh"

namespace awq::cuda {

inline constexpr int kBins = 2048;
inline constexpr int kListed = 256;  // keys of a row
inline constexpr int kGroups = 32;   // half warps of a block
static_assert(kBlock == 2 * kListed && kMostBlocks * kGroups == kListed);
static_assert(kGroups == 2 * kWarps && kBins == 4 * 32 * kWarps && kMostBlocks <= kWarps);

struct BinPlace {
  int bin;
  Sum needed;  // of the range
  Sum before;  // of the bins before it
};
struct Found {
  unsigned key;
  Sum rest;  // what the keys before it leave of the sum needed
};

// In each block's shared memory; others read what is marked *. Between two uses of the list lies
// one of the histogram, and the other way round: RowSync of one lets all end with the other.
struct SearchSpace {
  uint4 low[kBins / 4];    // * the lower halves of the sums of bins
  uint4 high[kBins / 4];   // *
  Sum parts[kWarps];       // * of kBins / kWarps bins
  Sum totals[kWarps];      // by warps
  Sum total;               // *
  int listed;              // * keys in the list; above kListed: too many
  unsigned list[kListed];  // *
  float groups[kGroups];   // * the largest logit of each half warp
  unsigned keys[kListed];  // of all lists
  Sum weights[kListed];
  BinPlace place;
  Found found;
};

struct Range {
  unsigned low, high;
};
// How the bins cut a range: the first and the last one have all that is left.
struct Bins {
  unsigned base;
  int shift;

  __device__ explicit Bins(const Range& range) {
    // 128 bins an octave from a distance of 1/64 on, or as narrow as the range lets them be.
    constexpr unsigned kBase = 0x3c7f0000u;
    const bool wide = range.low < kBase && range.high > kBase + 0xffffu;
    base = wide ? kBase : range.low;
    shift = wide ? 16 : max(0, 21 - __clz(static_cast<int>(range.high - range.low)));
  }
  __device__ int Of(unsigned key) const {
    return static_cast<int>(min((max(key, base) - base) >> shift, kBins - 1u));
  }
  __device__ Range Part(const Range& range, int bin) const {
    const unsigned first = base + (static_cast<unsigned>(bin) << shift);
    const unsigned last = first + ((1u << shift) - 1);
    return {bin == 0 ? range.low : first, bin == kBins - 1 ? range.high : min(range.high, last)};
  }
};

// By 32 bits at once: of 64 bits there are none in shared memory but by trial. Carries add up to
// the same in any order.
__device__ inline void AddToBin(SearchSpace& s, int bin, Sum value) {
  const auto low = static_cast<unsigned>(value);
  const unsigned sum = atomicAdd(&reinterpret_cast<unsigned*>(s.low)[bin], low) + low;
  const unsigned high = static_cast<unsigned>(value >> 32) + (sum < low ? 1 : 0);
  if (high > 0) atomicAdd(&reinterpret_cast<unsigned*>(s.high)[bin], high);
}

__device__ inline Sum PartOf(float top_p, Sum total) {
  const Sum part = __double2ull_rz(__dmul_rn(static_cast<double>(top_p), __ull2double_rn(total)));
  return part > 0 ? part : 1;
}

// Σ of four bins over all blocks, and the first bin up to which the sum reaches what is needed:
// warp 0 looks in the warps' parts, then in the bins of one.
__device__ inline void FindBin(int blocks, Sum needed, float top_p, SearchSpace& s) {
  if (needed == 0) {
    needed = PartOf(top_p, WarpSum(Lane() < blocks ? *OfBlock(&s.total, Lane()) : 0));
  }
  Sum part = 0;
  for (int b = 0; b < blocks; ++b) part += Lane() < kWarps ? OfBlock(s.parts, b)[Lane()] : 0;
  Sum upto = WarpSumUpTo(part);
  const int warp = __ffs(static_cast<int>(__ballot_sync(kAll, upto >= needed))) - 1;
  Sum before = __shfl_sync(kAll, upto - part, warp);
  const int four = 32 * warp + Lane();
  Sum bins[4] = {};
  for (int b = 0; b < blocks; ++b) {
    const uint4 low = OfBlock(s.low, b)[four];
    const uint4 high = OfBlock(s.high, b)[four];
    bins[0] += Sum{high.x} << 32 | low.x;
    bins[1] += Sum{high.y} << 32 | low.y;
    bins[2] += Sum{high.z} << 32 | low.z;
    bins[3] += Sum{high.w} << 32 | low.w;
  }
  const Sum mine = bins[0] + bins[1] + bins[2] + bins[3];
  upto = before + WarpSumUpTo(mine);
  before = upto - mine;
  if (before >= needed || upto < needed) return;
  int bin = 0;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    if (bin == i && before + bins[i] < needed) {
      before += bins[i];
      ++bin;
    }
  }
  s.place = {4 * four + bin, needed, before};
}

// The bin of the range that holds the limit. needed = 0: the part top_p of the weights of all keys
// up to `most`.
template <bool kWeigh, typename Row>
__device__ BinPlace FindInHistogram(const Row& row, int blocks, const Range& range, unsigned most,
                                    Sum needed, float top_p, SearchSpace& s) {
  const Bins bins(range);
  s.low[threadIdx.x] = s.high[threadIdx.x] = make_uint4(0, 0, 0, 0);
  __syncthreads();
  Sum total = 0;
  const unsigned farthest = kWeigh ? min(most, __float_as_uint(kWeightless)) : most;
  row.ForBatches(row.Least(farthest), [&](int, const float(&x)[Row::kAtOnce]) {
    float distances[Row::kAtOnce];
    row.Distances(x, distances);
    Sum values[Row::kAtOnce];
    int places[Row::kAtOnce];  // -1: not in the range
#pragma unroll
    for (int j = 0; j < Row::kAtOnce; ++j) {
      const unsigned key = __float_as_uint(distances[j]);
      const bool taken = key <= most;
      values[j] = kWeigh ? SampleWeight(taken ? distances[j] : INFINITY) : taken;
      total += values[j];
      places[j] = key >= range.low && key <= range.high ? bins.Of(key) : -1;
    }
    // Where a warp has one bin, as in rows of equals, it need not queue up for it.
    const int first = __shfl_sync(kAll, places[0], 0);
    const bool crowded = __all_sync(kAll, places[0] == first) && first >= 0;
#pragma unroll
    for (int j = 0; j < Row::kAtOnce; ++j) {
      if (crowded && __all_sync(kAll, places[j] == first)) {
        values[j] = WarpSum(values[j]);
        if (Lane() > 0) continue;
      }
      if (places[j] >= 0) AddToBin(s, places[j], values[j]);
    }
  });
  total = WarpSum(total);
  if (Lane() == 0) s.totals[Warp()] = total;
  __syncthreads();
  const uint4 low = s.low[threadIdx.x];
  const uint4 high = s.high[threadIdx.x];
  const Sum part = WarpSum((Sum{low.x} + low.y + low.z + low.w) +
                           ((Sum{high.x} + high.y + high.z + high.w) << 32));
  if (Lane() == 0) s.parts[Warp()] = part;
  if (Warp() == 0) {
    total = WarpSum(Lane() < kWarps ? s.totals[Lane()] : 0);
    if (Lane() == 0) s.total = total;
  }
  RowSync();
  if (Warp() == 0) FindBin(blocks, needed, top_p, s);
  __syncthreads();
  return s.place;
}

}  // namespace awq::cuda
