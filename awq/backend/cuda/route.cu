// Which experts a token goes to, and the pairs of tokens and experts in the order of experts.
#include <algorithm>
#include <climits>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/experts.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"
#include "awq/backend/cuda/ranking.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kMostExperts = 1024;
constexpr int kMostShared = 48 << 10;  // bytes
// Tokens of which one thread block makes the routes, a warp each, and sorts the pairs: a kernel
// fewer.
constexpr int kFewTokens = 16;
constexpr int kFewThreads = 128;  // at least

__device__ unsigned LargestOf(unsigned v) {
#if AWQ_SM80
  return __reduce_max_sync(~0u, v);
#else
#pragma unroll
  for (int step = 16; step > 0; step /= 2) v = max(v, __shfl_xor_sync(~0u, v, step));
  return v;
#endif
}

// The places of the largest of values[0 … count), one after another, the lowest among equals; NaN
// comes behind all numbers. One warp, of which each lane looks after every 32nd value: kEach at
// most.
template <int kEach>
class Ranking {
 public:
  __device__ Ranking(const float* values, int count) : lane_(static_cast<int>(threadIdx.x) % 32) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int place = 32 * i + lane_;
      keys_[i] = place < count ? RankingKey(values[place]) : 0;
    }
    Look();
  }
  // Takes it; there must be one.
  __device__ int Next() {
    const unsigned largest = LargestOf(key_);
    const unsigned last = ~0u - static_cast<unsigned>(place_);
    const auto place = static_cast<int>(~0u - LargestOf(key_ == largest ? last : 0));
    if (place % 32 == lane_) {
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        if (place == 32 * i + lane_) keys_[i] = 0;
      }
      Look();
    }
    return place;
  }

 private:
  __device__ void Look() {
    key_ = keys_[0];
    place_ = lane_;
#pragma unroll
    for (int i = 1; i < kEach; ++i) {
      if (keys_[i] > key_) key_ = keys_[i], place_ = 32 * i + lane_;
    }
  }

  unsigned keys_[kEach];  // 0: none, or taken
  int lane_;
  unsigned key_;  // the largest, and its place
  int place_;
};

// Of one token, in shared memory.
AWQ_HD constexpr int TokenBytes(int experts) { return (experts * (3 * 4 + 1) + 15) / 16 * 16; }

// choice of experts outside the best groups becomes 0.
template <int kEach>
__device__ void LimitGroups(const RouteArgs& args, int experts, float* choice, float* ranks,
                            bool* left) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int groups = static_cast<int>(args.groups);
  const int size = experts / groups;
  for (int g = lane; g < groups; g += 32) {
    float rank = 0;
    int last = -1;
    for (int i = 0; i < args.rank_by; ++i) {
      int best = -1;
      for (int j = 0; j < size; ++j) {
        if (j == last) continue;
        if (best < 0 || choice[g * size + j] > choice[g * size + best]) best = j;
      }
      rank += choice[g * size + best];
      last = best;
    }
    ranks[g] = rank;
  }
  for (int g = lane; g < groups; g += 32) left[g] = false;
  __syncwarp();
  Ranking<kEach> ranking(ranks, groups);
  for (int i = 0; i < args.active_groups; ++i) {
    const int g = ranking.Next();
    if (lane == 0) left[g] = true;
  }
  __syncwarp();
  for (int e = lane; e < experts; e += 32) {
    if (!left[e / size]) choice[e] = 0;
  }
  __syncwarp();
}

// Pairs in the order of experts, those of an expert rising: by these, which tell where each lies.
constexpr int kPairsAtMost = 4096;
__device__ int PairKey(int expert, int pair) { return expert * kPairsAtMost + pair; }

// Writes the pairs of each expert, those of expert 0 first, by all threads of a block. keys: of all
// pairs, to a multiple of four, behind the last that of no pair.
__device__ void SortFew(const int* keys, int pairs, int experts, int* sorted, int* starts) {
  for (int i = static_cast<int>(threadIdx.x); i < pairs + experts + 1;
       i += static_cast<int>(blockDim.x)) {
    const int key = i < pairs ? keys[i] : PairKey(i - pairs, 0);
    int place = 0;  // how many lie before it
    for (int p = 0; p < pairs; p += 4) {
      const int4 four = *reinterpret_cast<const int4*>(keys + p);
      place += (four.x < key ? 1 : 0) + (four.y < key ? 1 : 0);
      place += (four.z < key ? 1 : 0) + (four.w < key ? 1 : 0);
    }
    if (i < pairs) {
      sorted[place] = i;
    } else {
      starts[i - pairs] = place;
    }
  }
}

// One warp a token. Shared memory: of each scores, choice [E], ranks of groups, and which are
// left; then what each has chosen, as pairs. sorted: null, or there is one block, which sorts the
// pairs. kEach: experts of a lane.
template <int kEach>
__global__ void __launch_bounds__(32 * kFewTokens)
    RouteKernel(RouteArgs args, const float* logits, int64_t logits_stride, const float* bias,
                int tokens, int experts, int active, int* chosen, float* weights, int* sorted,
                int* starts) {
  extern __shared__ __align__(16) uint8_t memory[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warps = min(static_cast<int>(blockDim.x) / 32, tokens);
  const int t = static_cast<int>(blockIdx.x) * warps + warp;
  auto* keys = reinterpret_cast<int*>(memory + warps * TokenBytes(experts));
  BeginKernel();
  if (warp < warps && t < tokens) {
    auto* scores = reinterpret_cast<float*>(memory + warp * TokenBytes(experts));
    float* choice = scores + experts;
    float* ranks = choice + experts;
    auto* left = reinterpret_cast<bool*>(ranks + experts);
    const float* row = logits + t * logits_stride;
    float score[kEach];
    float largest = -INFINITY;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int e = 32 * i + lane;
      score[i] = e < experts ? row[e] : -INFINITY;
      largest = fmaxf(largest, score[i]);
    }
    largest = WarpMax(largest);
    float total = 0;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      score[i] = args.sigmoid ? 1.0f / (1.0f + expf(-score[i])) : expf(score[i] - largest);
      total += 32 * i + lane < experts ? score[i] : 0.0f;
    }
    total = args.sigmoid ? 1.0f : WarpSum(total);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int e = 32 * i + lane;
      if (e >= experts) break;
      scores[e] = score[i] / total;
      choice[e] = scores[e] + (bias == nullptr ? 0.0f : bias[e]);
    }
    __syncwarp();
    if (args.active_groups < args.groups) {
      LimitGroups<kEach>(args, experts, choice, ranks, left);
    }
    Ranking<kEach> ranking(choice, experts);
    float sum = 0;
    for (int a = 0; a < active; ++a) {
      const int e = ranking.Next();
      const int pair = warp * active + a;
      if (lane == 0) keys[pair] = PairKey(e, pair);
      sum += scores[e];
    }
    __syncwarp();
    for (int a = lane; a < active; a += 32) {
      const int e = keys[warp * active + a] / kPairsAtMost;
      chosen[t * active + a] = e;
      weights[t * active + a] =
          (args.normalize ? scores[e] / (sum + 1e-20f) : scores[e]) * args.scale;
    }
  }
  if (sorted == nullptr) return;
  const int pairs = tokens * active;
  if (threadIdx.x < 3) keys[pairs + threadIdx.x] = INT_MAX;
  __syncthreads();
  SortFew(keys, pairs, experts, sorted, starts);
}

// Block e puts the pairs of expert e in their places, rising; the last block writes the end.
__global__ void SortPairsKernel(const int* chosen, int pairs, int experts, int* sorted,
                                int* starts) {
  __shared__ int warp_counts[kThreads / 32];
  __shared__ int before_counts[kThreads / 32];
  BeginKernel();
  const int expert = static_cast<int>(blockIdx.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp = thread / 32;
  int before = 0;  // pairs of earlier experts
  for (int p = thread; p < pairs; p += kThreads) before += chosen[p] < expert;
  before = WarpSum(before);
  if (lane == 0) before_counts[warp] = before;
  __syncthreads();
  int place = 0;
#pragma unroll
  for (int w = 0; w < kThreads / 32; ++w) place += before_counts[w];
  if (thread == 0) starts[expert] = place;
  if (expert == experts) return;
  for (int first = 0; first < pairs; first += kThreads) {
    const int p = first + thread;
    const bool mine = p < pairs && chosen[p] == expert;
    const unsigned votes = __ballot_sync(~0u, mine);
    if (lane == 0) warp_counts[warp] = __popc(votes);
    __syncthreads();
    int at = place;
    for (int w = 0; w < kThreads / 32; ++w) {
      if (w < warp) at += warp_counts[w];
      place += warp_counts[w];
    }
    if (mine) sorted[at + __popc(votes & ((1u << lane) - 1))] = p;
    __syncthreads();
  }
}

}  // namespace

void Route(const Queue& queue, const RouteArgs& args, const TensorView& logits,
           const TensorView& bias, const Routing& routing) {
  const auto tokens = static_cast<int>(logits.dim(0));
  const auto experts = static_cast<int>(logits.dim(1));
  const auto active = static_cast<int>(routing.experts.dim(1));
  const auto pairs = static_cast<int>(routing.pairs.dim(0));
  if (pairs == 0) return;
  AWQ_CHECK(experts <= kMostExperts, kUnsupported, "backend cuda: ", experts,
            " experts a layer; supported: up to ", kMostExperts);
  const auto shared = [&](int warps) {
    return warps * TokenBytes(experts) + 4 * (warps * active + 3);
  };
  const bool few = tokens <= kFewTokens && pairs <= kPairsAtMost && shared(tokens) <= kMostShared;
  const int warps = few ? tokens : 1;
  const auto kernel = experts <= 128   ? &RouteKernel<4>
                      : experts <= 256 ? &RouteKernel<8>
                      : experts <= 512 ? &RouteKernel<16>
                                       : &RouteKernel<kMostExperts / 32>;
  Launch(queue, kernel, static_cast<unsigned>(few ? 1 : tokens),
         static_cast<unsigned>(few ? std::max(32 * warps, kFewThreads) : 32), shared(warps), args,
         logits.As<const float>(), logits.strides[0], bias.As<const float>(), tokens, experts,
         active, routing.experts.As<int>(), routing.weights.As<float>(),
         few ? routing.pairs.As<int>() : nullptr, routing.starts.As<int>());
  if (few) return;
  Launch(queue, SortPairsKernel, static_cast<unsigned>(experts + 1), kThreads, 0,
         routing.experts.As<const int>(), pairs, experts, routing.pairs.As<int>(),
         routing.starts.As<int>());
}

}  // namespace awq::cuda
