#include "awq/backend/cuda/latent_prompts.h"

#include <algorithm>

#include "awq/backend/cuda/attention_wgmma.cuh"
#include "awq/backend/cuda/head_products.h"
#include "awq/backend/cuda/tensor_map.h"

namespace awq::cuda {
namespace {

constexpr int kNope = 128, kRope = 64;  // of a head's keys; its values have kNope too
constexpr int kGatherRows = 16;         // of a thread block
constexpr int kGatherThreads = 256;
// Of heads' keys and values at a time: about what an L2 cache holds.
constexpr int64_t kMostBytes = int64_t{64} << 20;

int64_t Tiles(int64_t keys) { return (keys + kWgmmaKeys - 1) / kWgmmaKeys; }

struct GatherArgs {
  const int* seq_start;
  const int* kv_len;
  const int* table;
  int64_t table_stride;
  int sequences, page_shift, size;
  int* first_rows;  // of each sequence
};

// 16 rows of the latent vectors of all prompts, one prompt's after another's in whole tiles, of
// which what is past the last key is zeros.
template <typename T, typename C>
__global__ void __launch_bounds__(kGatherThreads)
    GatherLatents(const GatherArgs a, const C* cache, T* to) {
  __shared__ int found[3];  // the sequence, its first row, its keys
  BeginKernel();
  const int first = static_cast<int>(blockIdx.x) * kGatherRows;
  if (threadIdx.x < 32) {
    const int lane = static_cast<int>(threadIdx.x);
    int before = 0;  // rows
    for (int from = 0; from < a.sequences; from += 32) {
      const int b = from + lane;
      int rows = 0;
      int keys = 0;
      if (b < a.sequences && a.seq_start[b + 1] - a.seq_start[b] > kMostLatentTokens) {
        keys = a.kv_len[b];
        rows = (keys + kWgmmaKeys - 1) / kWgmmaKeys * kWgmmaKeys;
      }
      const int end = before + WarpSumUpTo(rows);
      if (blockIdx.x == 0 && b < a.sequences) a.first_rows[b] = end - rows;
      if (first >= end - rows && first < end) {
        found[0] = b;
        found[1] = end - rows;
        found[2] = keys;
      }
      before = __shfl_sync(~0u, end, 31);
    }
  }
  __syncthreads();
  const int chunks = a.size / 8;
  const int* table = a.table + found[0] * a.table_stride;
  for (int i = static_cast<int>(threadIdx.x); i < kGatherRows * chunks; i += kGatherThreads) {
    const int row = first + i / chunks;
    const int key = row - found[1];
    Pack<T, 8> out = {};
    if (key < found[2]) {
      const int64_t at =
          (int64_t{table[key >> a.page_shift]} << a.page_shift) + (key & ((1 << a.page_shift) - 1));
      const auto in = *reinterpret_cast<const Pack<C, 8>*>(cache + at * a.size + i % chunks * 8);
#pragma unroll
      for (int e = 0; e < 8; ++e) out.v[e] = FromFloat<T>(ToFloat(in.v[e]));
    }
    *reinterpret_cast<Pack<T, 8>*>(to + int64_t{row} * a.size + i % chunks * 8) = out;
  }
}

struct LatentPromptArgs {
  int column, rows;
  const void* q;
  int64_t q_stride;
};

template <typename T>
__global__ void __launch_bounds__(kWgmmaThreads, 1)
    LatentPromptKernel(const AttentionShape a, const LatentPromptArgs latent,
                       const __grid_constant__ CUtensorMap keys,
                       const __grid_constant__ CUtensorMap values,
                       const __grid_constant__ CUtensorMap shared, int items) {
  AttendRowTiles<T, T, kNope, kRope>(
      a, &keys, &values, items, {&shared, latent.column, latent.rows, latent.q, latent.q_stride});
}

// The workspace: latent vectors, keys, values, the sequences' first rows.
struct Room {
  int64_t latents, heads;  // bytes
  Room(const LatentPromptPlan& plan, int64_t size)
      : latents(2 * plan.rows * size), heads(2 * plan.rows * kNope * plan.heads) {}
};

template <typename T>
void Run(const Queue& queue, const DeviceLimits& device, Blas& blas, const LatentPromptPlan& plan,
         const LatentCall& call, void* workspace, int* counters) {
  constexpr float kLog2E = 1.4426950408889634f;
  const TensorView& cache = call.cache.keys;
  const int64_t size = cache.dim(3);
  const DType type = call.y.dtype;
  const Room room(plan, size);
  auto* bytes = static_cast<uint8_t*>(workspace);
  const TensorView latents(bytes, type, {plan.rows, size}, Device::kCuda);
  const TensorView keys(bytes + room.latents, type, {plan.rows, kNope}, Device::kCuda);
  const TensorView values(bytes + room.latents + room.heads, type, {plan.rows, kNope},
                          Device::kCuda);
  auto* first_rows = reinterpret_cast<int*>(bytes + room.latents + 2 * room.heads);

  const GatherArgs gather{.seq_start = call.batch.seq_start.As<const int>(),
                          .kv_len = call.batch.kv_len.As<const int>(),
                          .table = call.batch.block_table.As<const int>(),
                          .table_stride = call.batch.block_table.strides[0],
                          .sequences = static_cast<int>(call.batch.num_seqs()),
                          .page_shift = std::countr_zero(static_cast<uint64_t>(cache.dim(2))),
                          .size = static_cast<int>(size),
                          .first_rows = first_rows};
  WithCacheType(cache.dtype, [&](auto cached) {
    using C = typename decltype(cached)::type;
    Launch(queue, GatherLatents<T, C>, static_cast<unsigned>(plan.rows / kGatherRows),
           kGatherThreads, 0, gather, cache.As<const C>(), latents.As<T>());
  });

  constexpr int kShared = WgmmaSharedBytes<T, kNope, kRope>();
  AWQ_CUDA(cudaFuncSetAttribute(LatentPromptKernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                kShared));
  const TensorView ranked = latents.Columns(0, size - kRope);
  for (int64_t first = 0; first < call.keys.size(); first += plan.heads) {
    const int64_t heads = std::min(plan.heads, call.keys.size() - first);
    const HeadSpan span{first, heads};
    MultiplyHeads(blas, call.keys, span, false, ranked, 0, keys, plan.rows * kNope);
    MultiplyHeads(blas, call.values, span, true, ranked, 0, values, plan.rows * kNope);
    const AttentionShape shape = {.q = call.q_nope.As<const T>() + first * kNope,
                                  .q_stride = call.q_nope.strides[0],
                                  .keys = nullptr,
                                  .values = nullptr,
                                  .y = call.y.As<T>() + first * kNope,
                                  .y_stride = call.y.strides[0],
                                  .seq_start = gather.seq_start,
                                  .kv_len = gather.kv_len,
                                  .table = first_rows,
                                  .table_stride = 1,
                                  .heads = static_cast<int>(heads),
                                  .kv_heads = static_cast<int>(heads),
                                  .d = kNope,
                                  .page_size = 0,
                                  .page_shift = 0,
                                  .window = 0,
                                  .splits = 1,
                                  .columns = 0,
                                  .sequences = gather.sequences,
                                  .tiles = false,
                                  .short_rows = kMostLatentTokens,
                                  .scale = call.args.scale * kLog2E,
                                  .cap = 0.0f,
                                  .slope_scale = 0.0f,
                                  .slopes = nullptr,
                                  .partial = nullptr,
                                  .partial_stats = nullptr,
                                  .finished = counters};
    const LatentPromptArgs latent{static_cast<int>(size) - kRope, static_cast<int>(plan.rows),
                                  call.q_rope.As<const T>() + first * kRope,
                                  call.q_rope.strides[0]};
    const auto map = [](const TensorView& rows, int64_t count) {
      return SwizzledRowsMap(rows.data, count, rows.dim(1), rows.dim(1), kLatentBoxKeys);
    };
    const int64_t items = plan.items * heads;
    const auto blocks = static_cast<unsigned>(std::min<int64_t>(device.sms, items));
    Launch(queue, LatentPromptKernel<T>, dim3(blocks), kWgmmaThreads, kShared, shape, latent,
           map(keys, plan.rows * heads), map(values, plan.rows * heads), map(latents, plan.rows),
           static_cast<int>(items));
  }
}

}  // namespace

int64_t LatentPromptPlan::Bytes(int64_t size, int64_t sequences) const {
  const Room room(*this, size);
  return room.latents + 2 * room.heads + sequences * int64_t{sizeof(int)};
}

LatentPromptPlan PlanLatentPrompts(const LatentCall& call, const DeviceLimits& device) {
  LatentPromptPlan plan;
  const Batch& batch = call.batch;
  const auto readable = [](const TensorView& t) {
    return t.strides[0] % 2 == 0 && reinterpret_cast<uintptr_t>(t.data) % 4 == 0;
  };
  const TensorView& cache = call.cache.keys;
  const DType type = call.y.dtype;
  if (device.arch != 90 || (type != DType::kF16 && type != DType::kBF16) ||
      call.q_nope.dim(2) != kNope || call.q_rope.dim(2) != kRope || call.y.dim(2) != kNope ||
      cache.dim(3) % 8 != 0 || !call.keys.IsDense(type) || !call.values.IsDense(type) ||
      !std::has_single_bit(static_cast<uint64_t>(cache.dim(2))) || !readable(call.q_nope) ||
      !readable(call.q_rope) || !readable(call.y)) {
    return plan;
  }
  for (size_t b = 0; b < batch.host_kv_len.size(); ++b) {
    const int64_t tokens = batch.host_seq_start[b + 1] - batch.host_seq_start[b];
    if (tokens > kMostLatentTokens) {
      ++plan.prompts;
      plan.rows += Tiles(batch.host_kv_len[b]) * kWgmmaKeys;
      plan.items += (tokens + kWgmmaRows - 1) / kWgmmaRows;
    } else if (tokens > 0) {
      ++plan.others;
    }
  }
  if (plan.prompts == 0) return plan;
  const int64_t heads = call.keys.size();
  const int64_t most = std::clamp<int64_t>(kMostBytes / (plan.rows * 2 * 2 * kNope), 1, heads);
  const int64_t groups = (heads + most - 1) / most;
  plan.heads = (heads + groups - 1) / groups;
  return plan;
}

void LatentPrompts(const Queue& queue, const DeviceLimits& device, Blas& blas,
                   const LatentPromptPlan& plan, const LatentCall& call, void* workspace,
                   int* counters) {
  if (call.y.dtype == DType::kF16) {
    return Run<__half>(queue, device, blas, plan, call, workspace, counters);
  }
  Run<__nv_bfloat16>(queue, device, blas, plan, call, workspace, counters);
}

}  // namespace awq::cuda
