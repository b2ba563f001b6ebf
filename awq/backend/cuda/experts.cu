#include "awq/backend/cuda/experts.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/numeric.cuh"
#include "awq/backend/cuda/ptx.cuh"
#include "awq/backend/cuda/tensor_map.h"
#include "awq/backend/cuda/wide_experts.h"

namespace awq::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kSumThreads = 128;

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
  if (w.gated) n = RowOfPairs(n, shape.n);
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

// Thread: V columns of one token.
template <typename T, int V>
__global__ void __launch_bounds__(kSumThreads)
    MoeSumKernel(const float* weights, int active, const T* x, int64_t x_stride, const T* shared,
                 int64_t shared_stride, const float* gate, int64_t gate_stride, T* y,
                 int64_t y_stride, int columns) {
  BeginKernel();
  const int64_t t = blockIdx.x;
  const int c = (static_cast<int>(blockIdx.y) * kSumThreads + static_cast<int>(threadIdx.x)) * V;
  if (c >= columns) return;
  float sum[V] = {};
  if (shared != nullptr) {
    const float factor = gate == nullptr ? 1.0f : 1.0f / (1.0f + expf(-gate[t * gate_stride]));
    LoadFloats<T, V>(shared + t * shared_stride + c, sum);
#pragma unroll
    for (int i = 0; i < V; ++i) sum[i] *= factor;
  }
#pragma unroll 4
  for (int64_t p = t * active; p < (t + 1) * active; ++p) {
    float v[V];
    LoadFloats<T, V>(x + p * x_stride + c, v);
    const float weight = weights[p];
#pragma unroll
    for (int i = 0; i < V; ++i) sum[i] += weight * v[i];
  }
  StoreFloats<T, V>(y + t * y_stride + c, sum);
}

StackedWeight Describe(const PackedWeight& weight) {
  StackedWeight out;
  if (const auto* q4 = dynamic_cast<const Q4Weight*>(&weight)) {
    out.kind = StackedWeight::kQ4;
    out.data = q4->blocks();
    out.scale = q4->scale();
    out.group = q4->shape().group;
    out.has_zeros = q4->shape().has_zeros;
    out.gated = q4->gated();
  } else if (const auto* q8 = dynamic_cast<const Q8Weight*>(&weight)) {
    out.kind = StackedWeight::kQ8;
    out.data = q8->blocks();
    out.group = static_cast<int>(q8->shape().group);
    out.scale = q8->scale_unit();
    out.scale_unit = 1.0f / q8->scale_unit();
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

WeightForm FormOf(const StackedWeight& w) {
  WeightForm out{w.kind};
  if (w.kind == StackedWeight::kQ4 || w.kind == StackedWeight::kQ8) {
    out.groups = w.group >= kBlockK ? 1 : kBlockK / w.group;
    out.has_zeros = w.has_zeros;
  }
  return out;
}

// Bytes from each of the weights to the next, if it is the same everywhere; else 0.
int64_t BytesApart(const std::vector<StackedWeight>& weights) {
  int64_t apart = 0;
  for (size_t i = 1; i < weights.size(); ++i) {
    const int64_t here =
        static_cast<const char*>(weights[i].data) - static_cast<const char*>(weights[i - 1].data);
    if (i > 1 && here != apart) return 0;
    apart = here;
  }
  return apart;
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

Stack::Stack(Stream& stream, std::vector<std::unique_ptr<PackedWeight>> weights, bool maps)
    : PackedStack(std::move(weights)) {
  std::vector<StackedWeight> described;
  for (int64_t i = 0; i < size(); ++i) {
    const PackedWeight& weight = (*this)[i];
    described.push_back(Describe(weight));
    StackedWeight& d = described.back();
    const WeightForm form = FormOf(d);
    const auto known = std::find(forms_.begin(), forms_.end(), form);
    d.form = static_cast<int>(known - forms_.begin());
    if (known == forms_.end()) forms_.push_back(form);
    const auto* q4 = dynamic_cast<const Q4Weight*>(&weight);
    if (i == 0 && q4 != nullptr) q4_ = q4->shape();
    if (i == 0) gated_ = d.gated;
    AWQ_CHECK(d.gated == gated_, kInternal, "stack: weights with and without pairs of gate and up");
    const bool alike =
        q4 != nullptr && q4->shape().group == q4_.group && q4->shape().has_zeros == q4_.has_zeros;
    if (!alike) q4_.n = 0;
  }
  on_device_ = stream.Upload(described);
  if (IsDense(DType::kF16) || IsDense(DType::kBF16)) apart_ = BytesApart(described) / 2;
  if (!maps || q4_.n == 0) return;
  std::vector<CUtensorMap> boxes;
  for (const StackedWeight& d : described) {
    boxes.push_back(
        BlocksMap(d.data, q4_.RowTiles(), q4_.BlocksPerRow(), q4_.BlockBytes(), kExpertRowTiles));
  }
  maps_ = stream.Upload(boxes);
}

bool Stack::IsDense(DType type) const {
  const auto kind = type == DType::kF32   ? StackedWeight::kF32
                    : type == DType::kF16 ? StackedWeight::kF16
                                          : StackedWeight::kBF16;
  return forms_.size() == 1 && forms_[0].kind == kind;
}

void MoeSum(const Queue& queue, const Routing& routing, const TensorView& x,
            const TensorView& shared, const TensorView& gate, const TensorView& y) {
  if (y.NumElements() == 0) return;
  const auto columns = static_cast<int>(y.dim(1));
  const auto stride = [](const TensorView& t) { return t.empty() ? int64_t{0} : t.strides[0]; };
  const auto wide = [&](const TensorView& t) {
    return stride(t) % 8 == 0 && reinterpret_cast<uintptr_t>(t.data) % 16 == 0;
  };
  WithType(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const auto launch = [&](auto* kernel, int width) {
      const dim3 grid(
          static_cast<unsigned>(y.dim(0)),
          static_cast<unsigned>((columns + kSumThreads * width - 1) / (kSumThreads * width)));
      Launch(queue, kernel, grid, kSumThreads, 0, routing.weights.As<const float>(),
             static_cast<int>(routing.experts.dim(1)), x.As<const T>(), x.strides[0],
             shared.As<const T>(), stride(shared), gate.As<const float>(), stride(gate), y.As<T>(),
             y.strides[0], columns);
    };
    constexpr int kWidth = 16 / sizeof(T);
    const bool all = columns % kWidth == 0 && wide(x) && wide(shared) && wide(y);
    if (all) return launch(&MoeSumKernel<T, kWidth>, kWidth);
    launch(&MoeSumKernel<T, 1>, 1);
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
