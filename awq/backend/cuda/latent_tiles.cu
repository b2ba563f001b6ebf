#include "awq/backend/cuda/latent_tiles.h"

#include <algorithm>
#include <bit>

#include "awq/backend/cuda/latent_tiles.cuh"

namespace awq::cuda {
namespace {

using AnySize = LatentSize<64, __half, 1>;
constexpr int kRank = AnySize::kRank;
constexpr int kSize = AnySize::kSize;

// Which LatentSize.
struct Variant {
  int rows, stages;
  bool e4m3;
};
// f(LatentSize): 16-bit caches are of T.
template <typename T, typename F>
auto WithSize(const Variant& v, const F& f) {
  using E4m3 = __nv_fp8_e4m3;
  if (v.e4m3 && v.rows == 64) return f(LatentSize<64, E4m3, 1>());
  if (v.e4m3) return v.stages == 2 ? f(LatentSize<16, E4m3, 2>()) : f(LatentSize<16, E4m3, 1>());
  if (v.rows == 64) return v.stages == 2 ? f(LatentSize<64, T, 2>()) : f(LatentSize<64, T, 1>());
  return v.stages == 2 ? f(LatentSize<16, T, 2>()) : f(LatentSize<16, T, 1>());
}
int SharedBytes(const Variant& v) {
  return WithSize<__half>(v, [](auto size) { return decltype(size)::kSharedBytes; });
}

int64_t StatsBytes(const LatentPlan& plan) {
  return plan.items * plan.parts * plan.rows * int64_t{sizeof(float2)};
}

}  // namespace

bool SupportsLatentTiles(const DeviceLimits& device, const TensorView& q_latent,
                         const TensorView& q_rope, const PagedKv& cache, const TensorView& y) {
  const auto readable = [](const TensorView& t) {
    return t.strides[0] % 8 == 0 && reinterpret_cast<uintptr_t>(t.data) % 16 == 0;
  };
  const bool e4m3 = cache.keys.dtype == DType::kF8E4M3;
  return device.arch >= 80 && (y.dtype == DType::kF16 || y.dtype == DType::kBF16) &&
         (cache.keys.dtype == y.dtype || e4m3) && y.dim(2) == kRank && cache.keys.dim(3) == kSize &&
         std::has_single_bit(static_cast<uint64_t>(cache.page_size())) && readable(q_latent) &&
         readable(q_rope) && y.strides[0] % 2 == 0 &&
         device.shared_per_block >= SharedBytes({16, 1, e4m3});
}

LatentPlan PlanLatentTiles(const DeviceLimits& device, const Batch& batch, int64_t heads,
                           const PagedKv& cache, int most_tokens) {
  const bool e4m3 = cache.keys.dtype == DType::kF8E4M3;
  const auto fits = [&](int rows, int stages) {
    return SharedBytes({rows, stages, e4m3}) <= device.shared_per_block;
  };
  LatentPlan plan{};
  plan.most_tokens = most_tokens;
  const auto tokens_of = [&](size_t b) {
    const int64_t tokens = batch.host_seq_start[b + 1] - batch.host_seq_start[b];
    return tokens > most_tokens ? 0 : tokens;
  };
  const size_t sequences = static_cast<size_t>(batch.num_seqs());
  int64_t longest = 0;
  for (size_t b = 0; b < sequences; ++b) longest = std::max<int64_t>(longest, tokens_of(b));
  plan.rows = heads * longest > 16 && fits(64, 1) ? 64 : 16;
  plan.stages = fits(plan.rows, 2) ? 2 : 1;
  bool alike = true;
  const auto tiles_of = [&](size_t b) {
    return static_cast<int>((tokens_of(b) * heads + plan.rows - 1) / plan.rows);
  };
  for (size_t b = 0; b < sequences; ++b) {
    plan.items += tiles_of(b);
    alike = alike && tiles_of(b) == tiles_of(0);
  }
  plan.alike = alike ? tiles_of(0) : 0;
  const int64_t key_tiles = (batch.max_kv + AnySize::kKeys - 1) / AnySize::kKeys;
  plan.parts = static_cast<int>(std::clamp<int64_t>(
      std::min(key_tiles, device.sms / std::max<int64_t>(1, plan.items)), 1, kMostLatentParts));
  return plan;
}

int64_t LatentTilesWorkspace(const LatentPlan& plan) {
  if (plan.parts == 1) return 0;
  return StatsBytes(plan) + plan.items * plan.parts * plan.rows * kRank * int64_t{sizeof(float)};
}

void LatentTilesAttention(const Queue& queue, const LatentPlan& plan, const AttentionArgs& args,
                          const Batch& batch, const TensorView& q_latent, const TensorView& q_rope,
                          const PagedKv& cache, const TensorView& y, void* workspace,
                          int* counters) {
  constexpr float kLog2E = 1.4426950408889634f;
  LatentTilesArgs a{
      .scale = args.scale * kLog2E,
      .seq_start = batch.seq_start.As<const int>(),
      .kv_len = batch.kv_len.As<const int>(),
      .table = batch.block_table.As<const int>(),
      .table_stride = batch.block_table.strides[0],
      .sequences = static_cast<int>(batch.num_seqs()),
      .page_shift = std::countr_zero(static_cast<uint64_t>(cache.page_size())),
      .heads = static_cast<int>(y.dim(1)),
      .most_tokens = plan.most_tokens,
      .alike = plan.alike,
      .q_latent = q_latent.data,
      .q_stride = q_latent.strides[0],
      .q_rope = q_rope.data,
      .rope_stride = q_rope.strides[0],
      .keys = cache.keys.data,
      .y = y.data,
      .y_stride = y.strides[0],
      .parts = plan.parts,
      .partial = reinterpret_cast<float*>(static_cast<char*>(workspace) + StatsBytes(plan)),
      .stats = static_cast<float2*>(workspace),
      .met = counters};
  const auto launch = [&](auto* kernel, int shared) {
    AWQ_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                  cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    // Parts wait for each other: without a promise that all of them run, they and the kernels of
    // another stream could wait for ever.
    const auto items = static_cast<unsigned>(plan.items);
    const dim3 grid(items, static_cast<unsigned>(a.parts));
    if (a.parts > 1 && LaunchTogether(queue, kernel, grid, AnySize::kThreads, shared, a)) return;
    a.parts = 1;
    Launch(queue, kernel, items, AnySize::kThreads, shared, a);
  };
  const auto choose = [&](auto type) {
    using T = typename decltype(type)::type;
    WithSize<T>({plan.rows, plan.stages, cache.keys.dtype == DType::kF8E4M3}, [&](auto size) {
      using S = decltype(size);
      launch(&LatentTiles<T, S>, S::kSharedBytes);
    });
  };
  if (y.dtype == DType::kF16) return choose(Type<__half>());
  choose(Type<__nv_bfloat16>());
}

}  // namespace awq::cuda
