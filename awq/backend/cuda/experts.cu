#include "awq/backend/cuda/experts.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = 256;
constexpr unsigned kAll = ~0u;

// The place of the largest of values[0 … count), the lowest among equals; NaN is larger than
// nothing but the places before it that are taken, which are -inf. One warp.
__device__ int WarpArgMax(const float* values, const bool* taken, int count) {
  const int lane = static_cast<int>(threadIdx.x);
  float best = -INFINITY;
  int place = count;
  for (int i = lane; i < count; i += 32) {
    if (taken[i]) continue;
    if (place == count || values[i] > best) {
      best = values[i];
      place = i;
    }
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(kAll, best, step);
    const int where = __shfl_xor_sync(kAll, place, step);
    if (where == count) continue;
    if (place == count || other > best || (other == best && where < place)) {
      best = other;
      place = where;
    }
  }
  return __shfl_sync(kAll, place, 0);
}

// One warp a token. Shared memory: scores, choice [E], taken [E], and of groups ranks, taken.
__global__ void RouteKernel(RouteArgs args, const float* logits, int64_t logits_stride,
                            const float* bias, int experts, int active, int* chosen,
                            float* weights) {
  extern __shared__ float memory[];
  float* scores = memory;
  float* choice = scores + experts;
  float* ranks = choice + experts;
  auto* taken = reinterpret_cast<bool*>(ranks + experts);
  auto* left = taken + experts;
  BeginKernel();
  const int lane = static_cast<int>(threadIdx.x);
  const int64_t t = blockIdx.x;
  const float* row = logits + t * logits_stride;
  float max = -INFINITY;
  for (int e = lane; e < experts; e += 32) max = fmaxf(max, row[e]);
#pragma unroll
  for (int step = 16; step > 0; step /= 2) max = fmaxf(max, __shfl_xor_sync(kAll, max, step));
  float total = 0;
  for (int e = lane; e < experts; e += 32) total += args.sigmoid ? 0.0f : expf(row[e] - max);
  total = WarpSum(total);
  for (int e = lane; e < experts; e += 32) {
    scores[e] = args.sigmoid ? 1.0f / (1.0f + expf(-row[e])) : expf(row[e] - max) / total;
    choice[e] = scores[e] + (bias == nullptr ? 0.0f : bias[e]);
    taken[e] = left[e] = false;
  }
  __syncwarp();
  const int groups = static_cast<int>(args.groups);
  if (args.active_groups < args.groups) {
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
    for (int i = 0; i < args.active_groups; ++i) {
      const int g = WarpArgMax(ranks, left, groups);
      if (lane == 0) left[g] = true;
      __syncwarp();
    }
    for (int e = lane; e < experts; e += 32) {
      if (!left[e / size]) choice[e] = 0;
    }
    __syncwarp();
  }
  float sum = 0;
  for (int a = 0; a < active; ++a) {
    const int e = WarpArgMax(choice, taken, experts);
    if (lane == 0) {
      taken[e] = true;
      chosen[t * active + a] = e;
      weights[t * active + a] = scores[e];
    }
    sum += scores[e];
    __syncwarp();
  }
  if (lane != 0) return;
  for (int a = 0; a < active; ++a) {
    float& weight = weights[t * active + a];
    weight = (args.normalize ? weight / (sum + 1e-20f) : weight) * args.scale;
  }
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
#pragma unroll
  for (int step = 16; step > 0; step /= 2) before += __shfl_xor_sync(kAll, before, step);
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
    const unsigned votes = __ballot_sync(kAll, mine);
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

__device__ float WeightAt(const StackedWeight& w, const Q4Shape& shape, int64_t n, int64_t k) {
  switch (w.kind) {
    case StackedWeight::kF32:
      return static_cast<const float*>(w.data)[n * shape.k + k];
    case StackedWeight::kF16:
      return __half2float(static_cast<const __half*>(w.data)[n * shape.k + k]);
    case StackedWeight::kBF16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(w.data)[n * shape.k + k]);
    case StackedWeight::kPlain: {
      const int64_t at = n * w.groups + k / w.group;
      const auto code = static_cast<float>(static_cast<const uint8_t*>(w.data)[n * shape.k + k]);
      return (code - static_cast<float>(w.zeros[at])) * w.scales[at];
    }
    case StackedWeight::kQ8:
      return ValueOfQ8({shape.n, shape.k, w.group}, static_cast<const uint8_t*>(w.data), n, k);
    case StackedWeight::kQ4:
      break;
  }
  const Q4Shape own{shape.n, shape.k, w.group, w.has_zeros};
  const auto* blocks = static_cast<const uint8_t*>(w.data);
  const CodePlace place = PlaceOfCode(static_cast<int>(n % kTileN), static_cast<int>(k % kBlockK));
  const auto* words = reinterpret_cast<const uint32_t*>(blocks + own.BlockOffset(n, k));
  const auto code = static_cast<float>(words[place.word] >> place.shift & 15u);
  const float zero = w.has_zeros ? static_cast<float>(blocks[own.ZeroOffset(n, k)]) : 8.0f;
  const float scale =
      __half2float(*reinterpret_cast<const __half*>(blocks + own.ScaleOffset(n, k)));
  return (code - zero) * scale * w.scale;
}

// What row p of the outputs reads: x of row p / pairs_per_row, and which weight.
struct RowPlan {
  const int* experts;  // of each pair; null: the weight of head p % heads
  int heads;
  int pairs_per_row;
  int64_t x_outer, x_inner;  // offset of x: p / heads · outer + p % heads · inner
  int64_t y_outer, y_inner;
};

// Warp: an output of pair blockIdx.x.
template <typename X>
__global__ void AnyLinearKernel(const StackedWeight* stack, int64_t n_count, int64_t k_count,
                                RowPlan plan, const X* x, X* y) {
  BeginKernel();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t n =
      static_cast<int64_t>(blockIdx.y) * (kThreads / 32) + static_cast<int>(threadIdx.x) / 32;
  if (n >= n_count) return;
  const int p = static_cast<int>(blockIdx.x);
  const bool routed = plan.experts != nullptr;
  const StackedWeight w = stack[routed ? plan.experts[p] : p % plan.heads];
  const int row = p / plan.pairs_per_row;
  const X* from = x + row / plan.heads * plan.x_outer + row % plan.heads * plan.x_inner;
  const Q4Shape shape{n_count, k_count, 128, false};
  float sum = 0;
  for (int64_t k = lane; k < k_count; k += 32) sum += ToFloat(from[k]) * WeightAt(w, shape, n, k);
  sum = WarpSum(sum);
  if (lane == 0) {
    y[p / plan.heads * plan.y_outer + p % plan.heads * plan.y_inner + n] = FromFloat<X>(sum);
  }
}

// Thread: one column of one token.
template <typename T>
__global__ void MoeSumKernel(const float* weights, int active, const T* x, int64_t x_stride,
                             const T* shared, int64_t shared_stride, const float* gate,
                             int64_t gate_stride, T* y, int64_t y_stride, int columns) {
  BeginKernel();
  const int64_t t = blockIdx.x;
  const int c = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (c >= columns) return;
  float sum = 0;
  if (shared != nullptr) {
    const float factor = gate == nullptr ? 1.0f : 1.0f / (1.0f + expf(-gate[t * gate_stride]));
    sum = factor * ToFloat(shared[t * shared_stride + c]);
  }
  for (int64_t p = t * active; p < (t + 1) * active; ++p) {
    sum += weights[p] * ToFloat(x[p * x_stride + c]);
  }
  y[t * y_stride + c] = FromFloat<T>(sum);
}

StackedWeight Describe(const PackedWeight& weight) {
  StackedWeight out;
  if (const auto* q4 = dynamic_cast<const Q4Weight*>(&weight)) {
    out.kind = StackedWeight::kQ4;
    out.data = q4->blocks();
    out.scale = q4->scale();
    out.group = q4->shape().group;
    out.has_zeros = q4->shape().has_zeros;
  } else if (const auto* q8 = dynamic_cast<const Q8Weight*>(&weight)) {
    out.kind = StackedWeight::kQ8;
    out.data = q8->blocks();
    out.group = static_cast<int>(q8->shape().group);
  } else if (const auto* plain = dynamic_cast<const PlainWeight*>(&weight)) {
    out.kind = StackedWeight::kPlain;
    out.data = plain->codes();
    out.scales = plain->scales();
    out.zeros = plain->zeros();
    out.group = static_cast<int>(plain->group());
    out.groups = static_cast<int>(plain->groups());
  } else {
    const TensorView& view = dynamic_cast<const DenseWeight&>(weight).view();
    out.kind = view.dtype == DType::kF32   ? StackedWeight::kF32
               : view.dtype == DType::kF16 ? StackedWeight::kF16
                                           : StackedWeight::kBF16;
    out.data = view.data;
  }
  return out;
}

void LaunchAny(const Queue& queue, const Stack& w, const RowPlan& plan, int64_t rows,
               const TensorView& x, const TensorView& y) {
  const dim3 grid(static_cast<unsigned>(rows),
                  static_cast<unsigned>((w.n() + kThreads / 32 - 1) / (kThreads / 32)));
  WithType(x.dtype, [&](auto type) {
    using X = typename decltype(type)::type;
    Launch(queue, AnyLinearKernel<X>, grid, kThreads, 0, w.on_device(), w.n(), w.k(), plan,
           x.As<const X>(), y.As<X>());
  });
}

}  // namespace

Stack::Stack(Stream& stream, std::vector<std::unique_ptr<PackedWeight>> weights)
    : PackedStack(std::move(weights)) {
  std::vector<StackedWeight> described;
  for (int64_t i = 0; i < size(); ++i) {
    const PackedWeight& weight = (*this)[i];
    described.push_back(Describe(weight));
    const StackedWeight& d = described.back();
    const auto* q4 = dynamic_cast<const Q4Weight*>(&weight);
    if (i == 0 && q4 != nullptr) q4_ = q4->shape();
    const bool alike =
        q4 != nullptr && q4->shape().group == q4_.group && q4->shape().has_zeros == q4_.has_zeros;
    if (!alike) q4_.n = 0;
    const DType type = d.kind == StackedWeight::kF32   ? DType::kF32
                       : d.kind == StackedWeight::kF16 ? DType::kF16
                                                       : DType::kBF16;
    if (i == 0) dense_type_ = type;
    dense_ = dense_ && d.kind <= StackedWeight::kBF16 && type == dense_type_;
  }
  const auto bytes = static_cast<int64_t>(described.size() * sizeof(StackedWeight));
  on_device_ = stream.Alloc(DType::kU8, {bytes});
  AWQ_CUDA(cudaMemcpyAsync(on_device_.view().data, described.data(), static_cast<size_t>(bytes),
                           cudaMemcpyHostToDevice, stream.get()));
  stream.Sync();
}

void Route(const Queue& queue, const RouteArgs& args, const TensorView& logits,
           const TensorView& bias, const Routing& routing) {
  const auto experts = static_cast<int>(logits.dim(1));
  const auto active = static_cast<int>(routing.experts.dim(1));
  const auto pairs = static_cast<int>(routing.pairs.dim(0));
  if (pairs == 0) return;
  const int shared = experts * static_cast<int>(3 * sizeof(float) + 2 * sizeof(bool));
  AWQ_CHECK(shared <= 48 << 10, kUnsupported, "backend cuda: ", experts,
            " experts a layer; supported: up to 3500");
  Launch(queue, RouteKernel, static_cast<unsigned>(logits.dim(0)), 32, shared, args,
         logits.As<const float>(), logits.strides[0], bias.As<const float>(), experts, active,
         routing.experts.As<int>(), routing.weights.As<float>());
  Launch(queue, SortPairsKernel, static_cast<unsigned>(experts + 1), kThreads, 0,
         routing.experts.As<const int>(), pairs, experts, routing.pairs.As<int>(),
         routing.starts.As<int>());
}

void MoeSum(const Queue& queue, const Routing& routing, const TensorView& x,
            const TensorView& shared, const TensorView& gate, const TensorView& y) {
  if (y.NumElements() == 0) return;
  const auto columns = static_cast<int>(y.dim(1));
  const dim3 grid(static_cast<unsigned>(y.dim(0)),
                  static_cast<unsigned>((columns + kThreads - 1) / kThreads));
  const auto stride = [](const TensorView& t) { return t.empty() ? int64_t{0} : t.strides[0]; };
  WithType(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Launch(queue, MoeSumKernel<T>, grid, kThreads, 0, routing.weights.As<const float>(),
           static_cast<int>(routing.experts.dim(1)), x.As<const T>(), x.strides[0],
           shared.As<const T>(), stride(shared), gate.As<const float>(), stride(gate), y.As<T>(),
           y.strides[0], columns);
  });
}

void AnyMoeLinear(const Queue& queue, const Stack& w, const Routing& routing, const TensorView& x,
                  const TensorView& y) {
  if (y.dim(0) == 0) return;
  const RowPlan plan{.experts = routing.experts.As<const int>(),
                     .heads = 1,
                     .pairs_per_row = static_cast<int>(y.dim(0) / x.dim(0)),
                     .x_outer = x.strides[0],
                     .x_inner = 0,
                     .y_outer = y.strides[0],
                     .y_inner = 0};
  LaunchAny(queue, w, plan, y.dim(0), x, y);
}

void AnyHeadLinear(const Queue& queue, const Stack& w, const TensorView& x, const TensorView& y) {
  if (y.dim(0) == 0) return;
  const RowPlan plan{.experts = nullptr,
                     .heads = static_cast<int>(w.size()),
                     .pairs_per_row = 1,
                     .x_outer = x.strides[0],
                     .x_inner = x.strides[1],
                     .y_outer = y.strides[0],
                     .y_inner = y.strides[1]};
  LaunchAny(queue, w, plan, y.dim(0) * w.size(), x, y);
}

}  // namespace awq::cuda
