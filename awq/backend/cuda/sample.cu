// Sampling without a sort (sample_limits.cuh): one block a row.
//
// bound   reading a row from L2: four times with top-k or top-p, else twice
#include <climits>

#include "awq/backend/cuda/row_access.cuh"
#include "awq/backend/cuda/sample.h"
#include "awq/backend/cuda/sample_limits.cuh"

namespace awq::cuda {
namespace {

struct RowArgs {
  Matrix<float> logits;
  int columns;
  const float* temperature;
  const int* top_k;
  const float* top_p;
  const float* most_distance;
  const float* repetition;
  const uint2* random;
  const int* seen;
  const float* subtract;
  int seen_size;
  int* ids;
};

struct Largest {
  float value;
  int place;  // INT_MAX: none

  __device__ void Take(float v, int p) {
    if (v > value || (v == value && p < place)) {
      value = v;
      place = p;
    }
  }
  __device__ void TakeWarps() {
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) {
      Take(__shfl_xor_sync(kAll, value, lanes), __shfl_xor_sync(kAll, place, lanes));
    }
  }
};

// A row's largest logit, the lowest place among equals; none where ArgMax answers -1.
__device__ Largest FindLargest(const float* row, int columns) {
  __shared__ Largest parts[kWarps];
  Largest best = {-INFINITY, INT_MAX};
  bool bad = false;
#pragma unroll 8
  for (int c = static_cast<int>(threadIdx.x); c < columns; c += kBlock) {
    const float v = row[c];
    bad = bad || !(v < INFINITY);
    if (v > best.value) best = {v, c};
  }
  best.TakeWarps();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = best;
  bad = __syncthreads_or(bad) != 0;
  best = parts[threadIdx.x % 32];
  best.TakeWarps();
  if (bad) best.place = INT_MAX;
  return best;
}

// Weights of keys below the limit, and how many keys equal it.
struct Share {
  Sum weight;
  Sum equal;
};
__device__ void Count(const Keys& row, int i, const Limit& limit, Share& to) {
  const unsigned key = row[i];
  if (key < limit.key) to.weight += WeightOfKey(key);
  if (key == limit.key) ++to.equal;
}

// Each warp adds a stretch of the row; then all threads look in the one that holds the drawn token.
__device__ void Draw(const Keys& row, const Limit& limit, Sum random, int* id) {
  __shared__ Share shares[kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  const int stretch = (row.count + kWarps - 1) / kWarps;
  const Sum each = WeightOfKey(limit.key);
  Share mine = {};
  const int end = min(row.count, (thread / 32 + 1) * stretch);
#pragma unroll 4
  for (int i = thread / 32 * stretch + thread % 32; i < end; i += 32) Count(row, i, limit, mine);
  mine = {WarpSum(mine.weight), WarpSum(mine.equal)};
  if (thread % 32 == 0) shares[thread / 32] = mine;
  __syncthreads();

  Share all = {};
  for (const Share& s : shares) all = {all.weight + s.weight, all.equal + s.equal};
  Sum rest = __umul64hi(random, all.weight + each * limit.Ties(all.equal));
  Limit left = limit;  // its ties, of what comes
  int warp = 0;
  for (; warp < kWarps - 1; ++warp) {
    const Sum ties = left.Ties(shares[warp].equal);
    const Sum here = shares[warp].weight + each * ties;
    if (rest < here) break;
    rest -= here;
    left.ties -= ties;
  }
  const int begin = warp * stretch;
  const int last = min(row.count, begin + stretch);
  const int piece = (stretch + kBlock - 1) / kBlock;
  const int from = min(last, begin + thread * piece);
  const int to = min(last, from + piece);
  mine = {};
  for (int i = from; i < to; ++i) Count(row, i, limit, mine);
  const Sum equal_before = SumBefore(mine.equal);
  Sum sum = SumBefore(mine.weight) + each * left.Ties(equal_before);
  left.ties -= left.Ties(equal_before);
  const Sum upto = sum + mine.weight + each * left.Ties(mine.equal);
  if (rest < sum || rest >= upto) return;
  for (int i = from; i < to; ++i) {
    const unsigned key = row[i];
    if (key > limit.key || (key == limit.key && left.ties == 0)) continue;
    if (key == limit.key) --left.ties;
    sum += WeightOfKey(key);
    if (rest < sum) {
      *id = i;
      return;
    }
  }
}

__global__ void __launch_bounds__(kBlock) SampleKernel(const RowArgs a) {
  BeginKernel();
  const int64_t r = blockIdx.x;
  float* logits = a.logits.Row(r);
  const float repetition = a.repetition[r];
  for (int i = static_cast<int>(threadIdx.x); i < a.seen_size; i += kBlock) {
    const int id = a.seen[r * a.seen_size + i];
    if (id < 0 || id >= a.columns) continue;
    logits[id] = PenalizedLogit(logits[id], repetition, a.subtract[r * a.seen_size + i]);
  }
  __syncthreads();
  const Largest best = FindLargest(logits, a.columns);
  const float temperature = a.temperature[r];
  if (best.place == INT_MAX || temperature == 0.0f) {
    if (threadIdx.x == 0) a.ids[r] = best.place == INT_MAX ? -1 : best.place;
    return;
  }
  const Keys row = {logits, best.value, temperature, nullptr, a.columns};
  Limit limit = LimitByTops(row, a.top_k[r], a.top_p[r]);
  const unsigned farthest = __float_as_uint(a.most_distance[r]);
  if (farthest < limit.key) limit = {farthest, ~Sum{0}};
  const uint2 random = a.random[r];
  Draw(row, limit, Sum{random.x} | Sum{random.y} << 32, a.ids + r);
}

}  // namespace

void Sample(const Queue& queue, const SampleArgs& args, const TensorView& logits,
            const TensorView& ids) {
  if (logits.dim(0) == 0) return;
  const RowArgs rows = {.logits = AsMatrix<float>(logits),
                        .columns = static_cast<int>(logits.dim(1)),
                        .temperature = args.temperature.As<const float>(),
                        .top_k = args.top_k.As<const int>(),
                        .top_p = args.top_p.As<const float>(),
                        .most_distance = args.most_distance.As<const float>(),
                        .repetition = args.repetition.As<const float>(),
                        .random = args.random.As<const uint2>(),
                        .seen = args.seen.As<const int>(),
                        .subtract = args.subtract.As<const float>(),
                        .seen_size = args.seen.empty() ? 0 : static_cast<int>(args.seen.dim(1)),
                        .ids = ids.As<int>()};
  Launch(queue, SampleKernel, static_cast<unsigned>(logits.dim(0)), kBlock, 0, rows);
}

}  // namespace awq::cuda
