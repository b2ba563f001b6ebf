// Which experts a token goes to, and the pairs of tokens and experts in the order of experts.
#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/experts.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"
#include "awq/backend/cuda/ranking.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = 256;
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
// comes behind all numbers. One warp, of which each lane looks after every 32nd value.
class Ranking {
 public:
  __device__ Ranking(const float* values, bool* taken, int count)
      : values_(values), taken_(taken), count_(count), lane_(threadIdx.x % 32) {
    for (int i = lane_; i < count; i += 32) taken[i] = false;
    Look();
  }
  // Takes it; there must be one.
  __device__ int Next() {
    const unsigned largest = LargestOf(key_);
    const unsigned last = ~0u - static_cast<unsigned>(place_);
    const auto place = static_cast<int>(~0u - LargestOf(key_ == largest ? last : 0));
    if (place % 32 == lane_) {
      taken_[place] = true;
      Look();
    }
    return place;
  }

 private:
  __device__ void Look() {
    key_ = 0;  // none is left
    place_ = count_;
    for (int i = lane_; i < count_; i += 32) {
      const unsigned key = taken_[i] ? 0 : RankingKey(values_[i]);
      if (key > key_) key_ = key, place_ = i;
    }
  }

  const float* values_;
  bool* taken_;
  int count_, lane_;
  unsigned key_;
  int place_;
};

// Of one token, in shared memory.
AWQ_HD constexpr int TokenBytes(int experts) { return (experts * (3 * 4 + 2) + 15) / 16 * 16; }

// choice of experts outside the best groups becomes 0.
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
  __syncwarp();
  Ranking ranking(ranks, left, groups);
  for (int i = 0; i < args.active_groups; ++i) ranking.Next();
  __syncwarp();
  for (int e = lane; e < experts; e += 32) {
    if (!left[e / size]) choice[e] = 0;
  }
  __syncwarp();
}

// The pairs of each expert rising, those of expert 0 first, by all threads of a block.
__device__ void SortFew(const int* chosen, int pairs, int experts, int* sorted, int* starts) {
  for (int e = static_cast<int>(threadIdx.x); e <= experts; e += static_cast<int>(blockDim.x)) {
    int place = 0;
    for (int p = 0; p < pairs; ++p) place += chosen[p] < e ? 1 : 0;
    starts[e] = place;
    if (e == experts) break;
    for (int p = 0; p < pairs; ++p) {
      if (chosen[p] == e) sorted[place++] = p;
    }
  }
}

// One warp a token. Shared memory: of each scores, choice [E], ranks of groups, and which are
// taken; then what each has chosen. sorted: null, or there is one block, which sorts the pairs.
__global__ void RouteKernel(RouteArgs args, const float* logits, int64_t logits_stride,
                            const float* bias, int tokens, int experts, int active, int* chosen,
                            float* weights, int* sorted, int* starts) {
  extern __shared__ __align__(16) uint8_t memory[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warps = min(static_cast<int>(blockDim.x) / 32, tokens);
  const int t = static_cast<int>(blockIdx.x) * warps + warp;
  auto* picked = reinterpret_cast<int*>(memory + warps * TokenBytes(experts));
  BeginKernel();
  if (warp < warps && t < tokens) {
    auto* scores = reinterpret_cast<float*>(memory + warp * TokenBytes(experts));
    float* choice = scores + experts;
    float* ranks = choice + experts;
    auto* taken = reinterpret_cast<bool*>(ranks + experts);
    const float* row = logits + t * logits_stride;
    float largest = -INFINITY;
    for (int e = lane; e < experts; e += 32) {
      scores[e] = row[e];
      largest = fmaxf(largest, scores[e]);
    }
    largest = WarpMax(largest);
    float total = 0;
    for (int e = lane; e < experts; e += 32) {
      scores[e] = args.sigmoid ? 1.0f / (1.0f + expf(-scores[e])) : expf(scores[e] - largest);
      total += scores[e];
    }
    total = args.sigmoid ? 1.0f : WarpSum(total);
    for (int e = lane; e < experts; e += 32) {
      scores[e] /= total;
      choice[e] = scores[e] + (bias == nullptr ? 0.0f : bias[e]);
    }
    __syncwarp();
    if (args.active_groups < args.groups) {
      LimitGroups(args, experts, choice, ranks, taken + experts);
    }
    Ranking ranking(choice, taken, experts);
    float sum = 0;
    for (int a = 0; a < active; ++a) {
      const int e = ranking.Next();
      if (lane == 0) picked[warp * active + a] = e;
      sum += scores[e];
    }
    __syncwarp();
    for (int a = lane; a < active; a += 32) {
      const int e = picked[warp * active + a];
      chosen[t * active + a] = e;
      weights[t * active + a] =
          (args.normalize ? scores[e] / (sum + 1e-20f) : scores[e]) * args.scale;
    }
  }
  if (sorted == nullptr) return;
  __syncthreads();
  SortFew(picked, tokens * active, experts, sorted, starts);
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
  const auto shared = [&](int warps) {  // in whole 16 bytes, which the compiler reads at once
    return warps * TokenBytes(experts) + (4 * warps * active + 15) / 16 * 16;
  };
  AWQ_CHECK(shared(1) <= kMostShared, kUnsupported, "backend cuda: ", experts,
            " experts a layer; supported: up to 3000");
  const bool few = tokens <= kFewTokens && shared(tokens) <= kMostShared;
  const int warps = few ? tokens : 1;
  Launch(queue, RouteKernel, static_cast<unsigned>(few ? 1 : tokens),
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
