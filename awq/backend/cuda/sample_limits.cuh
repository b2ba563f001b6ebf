// The search for the limits of top-k and top-p in a row of logits, by the threads of one block.
//
// A token's distance from the most likely one, as bits of an F32 ≥ 0, is its key: keys rise as
// probabilities fall. top-k and top-p are each the smallest key up to which counts, or weights,
// reach what is asked for. A histogram of distances finds the bin that holds it; the keys of that
// bin, few in all but strange rows, are listed in shared memory, and bisection over their bits ends
// the search. Sums are integers: the order of additions does not matter, and the result is ref's.
#pragma once

#include <cstdint>

#include "awq/ops/sample_weight.h"

namespace awq::cuda {

inline constexpr int kBlock = 1024;
inline constexpr int kWarps = kBlock / 32;
static_assert(kWarps == 32);  // one part a lane where a warp adds those of all warps
inline constexpr int kBins = 2048;
inline constexpr float kBinsPerUnit = 64.0f;  // of distance
inline constexpr float kFarthest = kBins / kBinsPerUnit;
inline constexpr int kListed = 4096;
inline constexpr unsigned kAll = ~0u;
inline constexpr unsigned kInfiniteKey = 0x7f800000u;

using Sum = unsigned long long;

__device__ inline Sum WarpSum(Sum v) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(kAll, v, lanes);
  return v;
}

// Of all threads; every thread has it.
__device__ inline Sum BlockSum(Sum v) {
  __shared__ Sum parts[kWarps];
  v = WarpSum(v);
  __syncthreads();  // nobody reads the parts of the sum before
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  __syncthreads();
  return WarpSum(parts[threadIdx.x % 32]);
}

// Of the threads before this one.
__device__ inline Sum SumBefore(Sum v) {
  __shared__ Sum parts[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  Sum upto = v;
#pragma unroll
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const Sum left = __shfl_up_sync(kAll, upto, lanes);
    if (lane >= lanes) upto += left;
  }
  __syncthreads();  // nobody reads the parts of the sum before
  if (lane == 31) parts[warp] = upto;
  __syncthreads();
  return upto - v + WarpSum(lane < warp ? parts[lane] : 0);
}

// A row's keys, or those of them that are listed.
struct Keys {
  const float* row;
  float top, temperature;
  const unsigned* list;  // null: all
  int count;

  __device__ float Distance(int i) const { return __fdiv_rn(__fsub_rn(top, row[i]), temperature); }
  __device__ unsigned operator[](int i) const {
    return list != nullptr ? list[i] : __float_as_uint(Distance(i));
  }
};

__device__ inline Sum WeightOfKey(unsigned key) { return SampleWeight(__uint_as_float(key)); }

struct Histogram {
  Sum weights[kBins];
  unsigned counts[kBins];
};

__device__ inline int BinOf(float distance) {
  return distance < kFarthest ? static_cast<int>(distance * kBinsPerUnit) : kBins - 1;
}
__device__ inline unsigned FirstKeyOf(int bin) {
  return __float_as_uint(static_cast<float>(bin) / kBinsPerUnit);
}
__device__ inline unsigned LastKeyOf(int bin) {
  return bin == kBins - 1 ? kInfiniteKey : FirstKeyOf(bin + 1) - 1;
}

struct BinPlace {
  int bin;
  Sum before;  // of the bins before it
};

// The first bin up to which the bins' sum reaches `needed`, which is at most that of all.
template <typename T>
__device__ BinPlace FindBin(const T* bins, Sum needed) {
  __shared__ BinPlace found;
  constexpr int kEach = kBins / 32;
  __syncthreads();  // the bins are complete, and nobody reads what was found before
  if (threadIdx.x < 32) {
    const int lane = static_cast<int>(threadIdx.x);
    Sum mine = 0;
    for (int i = 0; i < kEach; ++i) mine += bins[kEach * lane + i];
    Sum upto = mine;
#pragma unroll
    for (int lanes = 1; lanes < 32; lanes *= 2) {
      const Sum left = __shfl_up_sync(kAll, upto, lanes);
      if (lane >= lanes) upto += left;
    }
    if (upto - mine < needed && needed <= upto) {
      BinPlace place = {kEach * lane, upto - mine};
      while (place.before + bins[place.bin] < needed) place.before += bins[place.bin++];
      found = place;
    }
  }
  __syncthreads();
  return found;
}

// The keys of a bin: in `list` if there is room for so many, else the whole row.
__device__ inline Keys KeysOfBin(const Keys& row, int bin, unsigned count, unsigned* list) {
  __shared__ int listed;
  if (count > kListed) return row;
  __syncthreads();  // nobody reads the list before
  if (threadIdx.x == 0) listed = 0;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < row.count; i += kBlock) {
    const float distance = row.Distance(i);
    if (BinOf(distance) == bin) list[atomicAdd(&listed, 1)] = __float_as_uint(distance);
  }
  __syncthreads();
  Keys out = row;
  out.list = list;
  out.count = static_cast<int>(count);
  return out;
}

// Σ value(key) over keys in [low, high].
template <typename F>
__device__ Sum SumOver(const Keys& keys, unsigned low, unsigned high, const F& value) {
  Sum sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < keys.count; i += kBlock) {
    const unsigned key = keys[i];
    if (key >= low && key <= high) sum += value(key);
  }
  return BlockSum(sum);
}

// The smallest key t of [low, high] for which Σ value over keys in [low, t] reaches `needed`; for
// t = high it does.
template <typename F>
__device__ unsigned Bisect(const Keys& keys, unsigned low, unsigned high, Sum needed,
                           const F& value) {
  unsigned from = low;
  while (from < high) {
    const unsigned middle = from + (high - from) / 2;
    if (SumOver(keys, low, middle, value) >= needed) {
      high = middle;
    } else {
      from = middle + 1;
    }
  }
  return high;
}

// Which tokens are left: keys below `key`, and the first `ties` that equal it.
struct Limit {
  unsigned key = kInfiniteKey;
  Sum ties = ~Sum{0};

  __device__ Sum Ties(Sum equal) const { return equal < ties ? equal : ties; }
};

__device__ inline Limit LimitByTops(const Keys& row, int top_k, float top_p) {
  __shared__ Histogram bins;
  __shared__ unsigned list[kListed];
  Limit out;
  const bool by_count = top_k > 0 && top_k < row.count;
  const bool by_weight = top_p < 1.0f;
  if (!by_count && !by_weight) return out;
  for (int b = static_cast<int>(threadIdx.x); b < kBins; b += kBlock) {
    bins.weights[b] = 0;
    bins.counts[b] = 0;
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < row.count; i += kBlock) {
    const float distance = row.Distance(i);
    const int bin = BinOf(distance);
    atomicAdd(&bins.counts[bin], 1u);
    if (!by_weight) continue;
    const Sum weight = SampleWeight(distance);
    if (weight > 0) atomicAdd(&bins.weights[bin], weight);
  }
  const auto weight = [](unsigned key) { return WeightOfKey(key); };
  if (by_count) {
    const auto needed = static_cast<Sum>(top_k);
    const BinPlace place = FindBin(bins.counts, needed);
    const Keys keys = KeysOfBin(row, place.bin, bins.counts[place.bin], list);
    const unsigned low = FirstKeyOf(place.bin);
    out.key = Bisect(keys, low, LastKeyOf(place.bin), needed - place.before,
                     [](unsigned) { return Sum{1}; });
    if (!by_weight) return out;
    const Sum kept = SumOver(keys, low, out.key, weight);
    for (int b = static_cast<int>(threadIdx.x); b < kBins; b += kBlock) {
      if (b > place.bin) bins.weights[b] = 0;
      if (b == place.bin) bins.weights[b] = kept;
    }
    __syncthreads();
  } else {
    __syncthreads();
  }
  if (by_weight) {
    Sum total = 0;
    for (int b = static_cast<int>(threadIdx.x); b < kBins; b += kBlock) total += bins.weights[b];
    total = BlockSum(total);
    const Sum share =
        __double2ull_rz(__dmul_rn(static_cast<double>(top_p), __ull2double_rn(total)));
    const Sum needed = share > 0 ? share : 1;
    const BinPlace place = FindBin(bins.weights, needed);
    const Keys keys = KeysOfBin(row, place.bin, bins.counts[place.bin], list);
    const unsigned low = FirstKeyOf(place.bin);
    const unsigned high = min(LastKeyOf(place.bin), out.key);
    out.key = Bisect(keys, low, high, needed - place.before, weight);
    const Sum below =
        place.before + (out.key > low ? SumOver(keys, low, out.key - 1, weight) : Sum{0});
    const Sum each = WeightOfKey(out.key);
    out.ties = (needed - below + each - 1) / each;
  }
  return out;
}

}  // namespace awq::cuda
