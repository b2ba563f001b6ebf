// The search for the limits of top-k and top-p in a row of logits.
//
// top-k and top-p are each the smallest key up to which counts, or weights, reach what is asked
// for. A range of keys holds the limit; a histogram of it, in each block's shared memory and added
// up by all, leaves one bin of it, and so on, until the keys of the range, listed by all blocks,
// are few. top-k mostly needs no histogram: the largest logits of 256 parts of the row bound its
// range. Sums are integers: the order of additions does not matter, and the result is ref's.
#pragma once

#include "awq/backend/cuda/sample_histogram.cuh"

namespace awq::cuda {

// Lists the keys of a range and answers how many; where there are more than kListed, lists nothing.
template <typename Row>
__device__ int List(const Row& row, int blocks, const Range& range, SearchSpace& s) {
  if (threadIdx.x == 0) s.listed = 0;
  __syncthreads();
  const float least = row.Least(range.high);
  volatile int& listed = s.listed;
  row.ForBatches(least, [&](int, const float(&x)[Row::kAtOnce]) {
#pragma unroll
    for (int j = 0; j < Row::kAtOnce; ++j) {
      if (!(x[j] >= least)) continue;
      const unsigned key = row.Key(x[j]);
      if (key < range.low || key > range.high || listed > kListed) continue;
      const int at = atomicAdd(&s.listed, 1);
      if (at < kListed) s.list[at] = key;
    }
  });
  RowSync();
  const int count = Lane() < blocks ? *OfBlock(&s.listed, Lane()) : 0;
  const int upto = WarpSumUpTo(count);
  const int all = __shfl_sync(kAll, upto, 31);
  if (all > kListed || Warp() >= blocks) return all;
  const int from = __shfl_sync(kAll, upto - count, Warp());
  const int mine = __shfl_sync(kAll, count, Warp());
  const unsigned* list = OfBlock(s.list, Warp());
  for (int i = Lane(); i < mine; i += 32) {
    const unsigned key = list[i];
    s.keys[from + i] = key;
    s.weights[from + i] = WeightOfKey(key);
  }
  return all;
}

// The smallest of the first `count` keys up to which they reach what is needed. Two threads a key.
template <bool kWeigh>
__device__ Found Select(int count, Sum needed, SearchSpace& s) {
  __syncthreads();  // the keys are complete, and nobody reads what was found before
  const int mine = static_cast<int>(threadIdx.x) / 2;
  if (16 * Warp() < count) {
    const unsigned key = s.keys[mine];
    Sum before = 0;
    Sum upto = 0;
    for (int i = static_cast<int>(threadIdx.x) % 2; i < count; i += 2) {
      const Sum value = kWeigh ? s.weights[i] : 1;
      if (s.keys[i] < key) before += value;
      if (s.keys[i] <= key) upto += value;
    }
    before += __shfl_xor_sync(kAll, before, 1);
    upto += __shfl_xor_sync(kAll, upto, 1);
    if (mine < count && before < needed && needed <= upto) s.found = {key, needed - before};
  }
  __syncthreads();
  return s.found;
}

// As FindInHistogram, which it uses until the keys of the range are few. list: it starts with the
// list, as there may be few already. kept: how many keys are in the list if it has all from 0 on.
template <bool kWeigh, typename Row>
__device__ Found Search(const Row& row, int blocks, Range range, unsigned most, Sum needed,
                        float top_p, bool list, int* kept, SearchSpace& s) {
  for (;; list = true) {
    if (list) {
      const int count = List(row, blocks, range, s);
      const bool few = count <= kListed;
      *kept = few && range.low == 0 ? count : 0;
      if (few) return Select<kWeigh>(count, needed, s);
      if (range.low == range.high) return {range.low, needed};
      most = range.high;
    }
    const BinPlace place = FindInHistogram<kWeigh>(row, blocks, range, most, needed, top_p, s);
    needed = place.needed - place.before;
    range = Bins(range).Part(range, place.bin);
  }
}

// A key up to which there are at least `count` tokens, one in each of so many groups.
template <typename Row>
__device__ unsigned KeyOfGroups(const Row& row, int blocks, int count, SearchSpace& s) {
  const int groups = blocks * kGroups;
  const int i = static_cast<int>(threadIdx.x);
  if (i < groups) s.keys[i] = row.Key(OfBlock(s.groups, i / kGroups)[i % kGroups]);
  return Select<false>(groups, static_cast<Sum>(count), s).key;
}

// A key beyond which less than 1 - top_p of all weights is left: 2^44 · e^-distance a token, and
// the most likely one alone has 2^44. Twice as much is left, for rounding.
__device__ inline unsigned FarthestKey(int columns, float top_p) {
  return __float_as_uint(logf(2.0f * static_cast<float>(columns) / (1.0f - top_p)));
}

// Which tokens are left: keys below `key`, and the first `ties` that equal it.
struct Limit {
  unsigned key;
  Sum ties;

  __device__ Sum Ties(Sum equal) const { return min(equal, ties); }
};

template <typename Row>
__device__ Limit LimitByTops(const Row& row, int blocks, int columns, int top_k, float top_p,
                             SearchSpace& s) {
  unsigned most = kInfiniteKey;
  int kept = 0;
  if (top_k > 0 && top_k < columns) {
    const bool few = top_k <= blocks * kGroups;
    const Range range = {0, few ? KeyOfGroups(row, blocks, top_k, s) : kInfiniteKey};
    most = Search<false>(row, blocks, range, range.high, static_cast<Sum>(top_k), 0, few, &kept, s)
               .key;
  }
  if (top_p >= 1.0f) return {most + 1, 0};
  Found found;
  if (kept > 0) {
    Sum total = 0;
    for (int i = Lane(); i < kept; i += 32) total += s.keys[i] <= most ? s.weights[i] : 0;
    found = Select<true>(kept, PartOf(top_p, WarpSum(total)), s);
  } else {
    const Range range = {0, min(most, FarthestKey(columns, top_p))};
    found = Search<true>(row, blocks, range, most, 0, top_p, false, &kept, s);
  }
  const Sum each = WeightOfKey(found.key);
  return {found.key, found.rest <= each ? 1 : (found.rest + each - 1) / each};
}

}  // namespace awq::cuda
