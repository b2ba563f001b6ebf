#include "awq/backend/cuda/attention.h"

#include <algorithm>
#include <bit>

#include "awq/backend/cuda/attention_launch.cuh"

namespace awq::cuda {
namespace {

// Any types, any d up to 1024: one warp a (token, head), one key at a time.
constexpr int kPlainLanes = 32;
constexpr int kPlainElements = 32;  // a lane
template <typename T, typename C>
__global__ void PlainKernel(const AttentionShape a, int sequences) {
  BeginKernel();
  const int token = static_cast<int>(blockIdx.x);
  const int head = static_cast<int>(blockIdx.y);
  const int lane = static_cast<int>(threadIdx.x);
  int sequence = 0;
  while (sequence + 1 < sequences && a.seq_start[sequence + 1] <= token) ++sequence;
  const int position = a.kv_len[sequence] - (a.seq_start[sequence + 1] - token);
  const int g = head / (a.heads / a.kv_heads);
  const T* query = static_cast<const T*>(a.q) + token * a.q_stride + head * a.d;
  float out[kPlainElements] = {};
  float top = -INFINITY;
  float total = 0.0f;
  for (int key = a.window > 0 ? max(0, position - a.window + 1) : 0; key <= position; ++key) {
    const int page = a.table[sequence * a.table_stride + key / a.page_size];
    const int64_t at = ((int64_t{page} * a.kv_heads + g) * a.page_size + key % a.page_size) * a.d;
    float s = 0.0f;
    for (int i = lane; i < a.d; i += kPlainLanes) {
      s += ToFloat(query[i]) * ToFloat(static_cast<const C*>(a.keys)[at + i]);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) s += __shfl_xor_sync(~0u, s, step);
    if (AdjustsScores(a)) s = AdjustScore(a, s, head, position - key);
    s *= a.scale;
    const float higher = fmaxf(top, s);
    const float shrink = exp2f(top - higher);
    const float weight = exp2f(s - higher);
    top = higher;
    total = total * shrink + weight;
#pragma unroll
    for (int i = 0; i < kPlainElements; ++i) {
      const int c = lane + kPlainLanes * i;
      if (c >= a.d) break;
      out[i] = out[i] * shrink + weight * ToFloat(static_cast<const C*>(a.values)[at + c]);
    }
  }
#pragma unroll
  for (int i = 0; i < kPlainElements; ++i) {
    const int c = lane + kPlainLanes * i;
    if (c >= a.d) break;
    static_cast<T*>(a.y)[token * a.y_stride + head * a.d + c] = FromFloat<T>(out[i] / total);
  }
}

AttentionRows CountRows(const Batch& batch, const TensorView& q, const PagedKv& cache,
                        int short_rows) {
  const int64_t heads = q.dim(1) / cache.kv_heads();
  AttentionRows out;
  for (size_t b = 0; b + 1 < batch.host_seq_start.size(); ++b) {
    const int64_t rows = (batch.host_seq_start[b + 1] - batch.host_seq_start[b]) * heads;
    if (rows > short_rows) {
      out.longest = std::max(out.longest, rows);
      out.tiles += (rows + kWgmmaRows - 1) / kWgmmaRows;
    } else {
      out.shortest = std::max(out.shortest, rows);
    }
  }
  return out;
}

int MostShortRows(int64_t d) { return d <= 128 ? kShortRows : kShortRowsOfLargeHeads; }

ShortPlan PlanOf(const DeviceLimits& device, const AttentionArgs& args, const Batch& batch,
                 const TensorView& q, const PagedKv& cache, const AttentionRows& rows) {
  return PlanShort({.sequences = batch.num_seqs(),
                    .heads = q.dim(1),
                    .kv_heads = cache.kv_heads(),
                    .d = q.dim(2),
                    .rows = rows.shortest,
                    .max_kv = batch.max_kv,
                    .window = args.window,
                    .uneven = HasUnevenLengths(batch.host_kv_len),
                    .element_bytes = cache.keys.dtype == DType::kF8E4M3 ? 1 : 2},
                   device.sms, device.shared_per_block);
}

bool OnTensorCores(const DeviceLimits& device, const TensorView& q, const PagedKv& cache) {
  if (device.arch < 80 && q.dtype != DType::kF16) return false;
  const int64_t d = q.dim(2);
  const int64_t padded = d <= 128 ? (d <= 64 ? 64 : 128) : (d <= 192 ? 192 : 256);
  const int64_t row = 2 * padded + 16;  // bytes
  if ((4 * kTileKeys + kLongRows<1>)*row > device.shared_per_block) return false;
  const bool e4m3 = cache.keys.dtype == DType::kF8E4M3;
  return q.dtype != DType::kF32 && std::has_single_bit(static_cast<uint64_t>(cache.page_size())) &&
         cache.page_size() >= kStepKeys && (e4m3 || cache.keys.dtype == q.dtype) &&
         cache.keys.NumBytes() / 16 < kMostCacheChunks && d % (e4m3 ? 16 : 8) == 0 && d <= 256 &&
         q.strides[0] % 2 == 0 && reinterpret_cast<uintptr_t>(q.data) % 4 == 0 &&
         reinterpret_cast<uintptr_t>(cache.keys.data) % 16 == 0 &&
         reinterpret_cast<uintptr_t>(cache.values.data) % 16 == 0;
}

// Rows of sums that thread blocks leave for each other.
int64_t Partials(const Batch& batch, const PagedKv& cache, const ShortPlan& plan) {
  if (plan.columns == 0 && plan.splits == 1) return 0;
  return plan.PartsOfHead(batch.num_seqs()) * cache.kv_heads() * kShortRows;
}
int64_t StatsBytes(int64_t rows) { return (rows * int64_t{sizeof(float2)} + 255) / 256 * 256; }

}  // namespace

int64_t AttentionWorkspace(const DeviceLimits& device, const AttentionArgs& args,
                           const Batch& batch, const TensorView& q, const PagedKv& cache,
                           int short_rows) {
  if (!OnTensorCores(device, q, cache)) return 0;
  short_rows = std::min(short_rows, MostShortRows(q.dim(2)));
  const ShortPlan plan =
      PlanOf(device, args, batch, q, cache, CountRows(batch, q, cache, short_rows));
  const int64_t rows = Partials(batch, cache, plan);
  return StatsBytes(rows) + rows * q.dim(2) * int64_t{sizeof(float)};
}

void Attention(const Queue& queue, const DeviceLimits& device, const AttentionArgs& args,
               const Batch& batch, const TensorView& q, const PagedKv& cache, const TensorView& y,
               int short_rows, void* workspace, int* counters) {
  if (q.NumElements() == 0) return;
  AWQ_CHECK(q.dtype == y.dtype, kInternal, "attention: q is ", NameOf(q.dtype), ", y is ",
            NameOf(y.dtype));
  constexpr float kLog2E = 1.4426950408889634f;
  const bool fast = OnTensorCores(device, q, cache);
  short_rows = std::min(short_rows, MostShortRows(q.dim(2)));
  const AttentionRows rows = fast ? CountRows(batch, q, cache, short_rows) : AttentionRows{};
  const ShortPlan plan = PlanOf(device, args, batch, q, cache, rows);
  const int64_t partials = Partials(batch, cache, plan);
  const AttentionShape shape = {
      .q = q.data,
      .q_stride = q.strides[0],
      .keys = cache.keys.data,
      .values = cache.values.data,
      .y = y.data,
      .y_stride = y.strides[0],
      .seq_start = batch.seq_start.As<const int>(),
      .kv_len = batch.kv_len.As<const int>(),
      .table = batch.block_table.As<const int>(),
      .table_stride = batch.block_table.strides[0],
      .heads = static_cast<int>(q.dim(1)),
      .kv_heads = static_cast<int>(cache.kv_heads()),
      .d = static_cast<int>(q.dim(2)),
      .page_size = static_cast<int>(cache.page_size()),
      .page_shift = std::countr_zero(static_cast<uint64_t>(cache.page_size())),
      .window = static_cast<int>(args.window),
      .splits = static_cast<int>(plan.splits),
      .columns = static_cast<int>(plan.columns),
      .sequences = static_cast<int>(batch.num_seqs()),
      .tiles = plan.tiles,
      .short_rows = short_rows,
      .scale = args.scale * kLog2E,
      .cap = args.softcap / args.scale,
      .inverse_cap = args.softcap > 0.0f ? args.scale / args.softcap : 0.0f,
      .slope_scale = 1.0f / args.scale,
      .slopes = args.alibi_slopes.empty() ? nullptr : args.alibi_slopes.As<const float>(),
      .partial = reinterpret_cast<float*>(static_cast<uint8_t*>(workspace) + StatsBytes(partials)),
      .partial_stats = static_cast<float2*>(workspace),
      .finished = counters};
  if (fast) {
    if (cache.keys.dtype == DType::kF8E4M3) {
      RunE4m3Attention(queue, device, shape, cache, batch, rows, q.dtype);
    } else if (q.dtype == DType::kF16) {
      RunAttention<__half, __half>(queue, device, shape, cache, batch, rows);
    } else {
      RunAttention<__nv_bfloat16, __nv_bfloat16>(queue, device, shape, cache, batch, rows);
    }
  } else {
    AWQ_CHECK(shape.d <= kPlainLanes * kPlainElements, kUnsupported, "backend cuda: heads of ",
              shape.d, " elements; supported: up to 1024");
    const dim3 grid(static_cast<unsigned>(q.dim(0)), static_cast<unsigned>(q.dim(1)));
    WithType(q.dtype, [&](auto tq) {
      using T = typename decltype(tq)::type;
      WithCacheType(cache.keys.dtype, [&](auto tc) {
        using C = typename decltype(tc)::type;
        Launch(queue, PlainKernel<T, C>, grid, kPlainLanes, 0, shape,
               static_cast<int>(batch.num_seqs()));
      });
    });
  }
}

}  // namespace awq::cuda
