// The draw: every warp adds the weights of its stretch of the row; a warp of each block finds the
// stretch that holds the drawn token, and the block that has it looks in there.
#pragma once

#include "awq/backend/cuda/sample_limits.cuh"

namespace awq::cuda {

// Weights of keys below the limit, and how many keys equal it.
struct Share {
  Sum weight;
  Sum equal;

  __device__ void Take(unsigned key, const Limit& limit) {
    if (key < limit.key) weight += WeightOfKey(key);
    if (key == limit.key) ++equal;
  }
};

struct DrawSpace {
  Share shares[kWarps];  // read by other blocks
  int stretch;           // of all stretches of the row
  Sum rest;              // of what was drawn, in the stretch
  Sum ties;              // for the stretch and what follows it
};

// Of this warp's stretch. few: most tokens are beyond the limit. Without ties if it has none.
template <typename Row>
__device__ Share ShareOfWarp(const Row& row, const Limit& limit, bool few) {
  Share mine = {};
  const float least = row.Least(min(limit.key, __float_as_uint(kWeightless)));
  if (few) {
    row.ForBatches(least, [&](int, const float(&x)[Row::kAtOnce]) {
#pragma unroll
      for (int j = 0; j < Row::kAtOnce; ++j) {
        if (x[j] >= least) mine.Take(row.Key(x[j]), limit);
      }
    });
  } else {
    row.ForBatches(least, [&](int, const float(&x)[Row::kAtOnce]) {
      float distances[Row::kAtOnce];
      row.Distances(x, distances);
#pragma unroll
      for (int j = 0; j < Row::kAtOnce; ++j) {
        const bool taken = __float_as_uint(distances[j]) < limit.key;
        mine.weight += SampleWeight(taken ? distances[j] : INFINITY);
      }
    });
  }
  return {WarpSum(mine.weight), WarpSum(mine.equal)};
}

// By one warp.
__device__ inline void FindStretch(int blocks, const Limit& limit, Sum random, DrawSpace& s) {
  constexpr int kEach = kMostBlocks * kWarps / 32;
  const Sum each = WeightOfKey(limit.key);
  Share shares[kEach];
  Sum equal = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int at = kEach * Lane() + i;
    shares[i] = {};
    if (at < blocks * kWarps) shares[i] = OfBlock(s.shares, at / kWarps)[at % kWarps];
    equal += shares[i].equal;
  }
  Limit left = limit;  // its ties, of what comes
  left.ties -= left.Ties(WarpSumUpTo(equal) - equal);
  Sum weights[kEach];
  Sum mine = 0;
  Limit next = left;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const Sum ties = next.Ties(shares[i].equal);
    weights[i] = shares[i].weight + each * ties;
    next.ties -= ties;
    mine += weights[i];
  }
  const Sum upto = WarpSumUpTo(mine);
  Sum rest = __umul64hi(random, __shfl_sync(kAll, upto, 31));
  if (rest < upto - mine || rest >= upto) return;
  rest -= upto - mine;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    if (rest < weights[i]) {
      s.stretch = kEach * Lane() + i;
      s.rest = rest;
      s.ties = left.ties;
      return;
    }
    rest -= weights[i];
    left.ties -= left.Ties(shares[i].equal);
  }
}

// The token of a stretch of this block, by all its threads.
template <typename Row>
__device__ void FindToken(const Row& row, const Limit& limit, const DrawSpace& s, int* id) {
  const int warp = s.stretch % kWarps;
  const int last = row.First(warp + 1);
  const int piece = (row.stretch + kBlock - 1) / kBlock;
  const int from = min(last, row.First(warp) + static_cast<int>(threadIdx.x) * piece);
  const int to = min(last, from + piece);
  Share mine = {};
  for (int i = from; i < to; ++i) mine.Take(row.Key(row.logits[i]), limit);
  const Sum each = WeightOfKey(limit.key);
  Limit left = {limit.key, s.ties};
  const Sum ties_before = left.Ties(SumBefore(mine.equal));
  Sum sum = SumBefore(mine.weight) + each * ties_before;
  left.ties -= ties_before;
  const Sum upto = sum + mine.weight + each * left.Ties(mine.equal);
  if (s.rest < sum || s.rest >= upto) return;
  for (int i = from; i < to; ++i) {
    const unsigned key = row.Key(row.logits[i]);
    if (key > limit.key || (key == limit.key && left.ties == 0)) continue;
    if (key == limit.key) --left.ties;
    sum += WeightOfKey(key);
    if (s.rest < sum) {
      *id = row.begin + i;
      return;
    }
  }
}

// The last that blocks of a row do together: afterwards none reads another's memory.
template <typename Row>
__device__ void Draw(const Row& row, int blocks, const Limit& limit, bool few, Sum random,
                     DrawSpace& s, int* id) {
  const Share mine = ShareOfWarp(row, limit, few);
  if (Lane() == 0) s.shares[Warp()] = mine;
  RowSync();
  if (Warp() == 0) FindStretch(blocks, limit, random, s);
  RowSync();
  if (s.stretch / kWarps == static_cast<int>(blockIdx.x)) FindToken(row, limit, s, id);
}

}  // namespace awq::cuda
