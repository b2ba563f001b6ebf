#include "awq/ops/check_tensors.h"
#include "awq/ops/checks.h"

namespace awq {

HeadDims CheckRope(const RopeArgs& args, const TensorView& positions, const TensorView& x) {
  AWQ_CHECK(x.rank() == 3, kInternal, "rope: x: expected [T, heads, d], found ", Describe(x));
  CheckHeads("rope", "x", x, x.dim(0), x.dim(1), x.dim(2));
  CheckVector("rope", "positions", positions, DType::kI32, x.dim(0));
  const TensorView& f = args.inverse_frequencies;
  AWQ_CHECK(f.rank() == 1 && f.dtype == DType::kF32 && 2 * f.dim(0) <= x.dim(2), kInternal,
            "rope: inverse_frequencies: expected F32 [rotary / 2], rotary <= ", x.dim(2),
            ", found ", Describe(f));
  return {x.dim(0), x.dim(1), x.dim(2)};
}

HeadDims CheckKvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
                      const PagedKv& cache) {
  CheckCache("kv_write", cache);
  CheckBatch("kv_write", batch, k.dim(0));
  const HeadDims d{k.dim(0), cache.kv_heads(), cache.keys.dim(3)};
  CheckHeads("kv_write", "k", k, d.tokens, d.heads, d.head_size);
  AWQ_CHECK(v.empty() == cache.values.empty(), kInternal, "kv_write: v: found ", Describe(v),
            " for a cache with values ", Describe(cache.values));
  if (!v.empty()) CheckHeads("kv_write", "v", v, d.tokens, d.heads, d.head_size);
  return d;
}

void CheckDecode(const Batch& batch, std::span<const PagedKv> caches, const TensorView& residual) {
  CheckBatch("decode", batch, 1);
  AWQ_CHECK(batch.num_seqs() == 1 && batch.positions.dim(0) == 1, kInternal,
            "decode: expected one sequence, found ", batch.num_seqs());
  AWQ_CHECK(!caches.empty() && residual.dtype == DType::kF32 && residual.rank() == 2 &&
                residual.dim(0) == 1,
            kInternal, "decode: expected caches and a residual stream F32 [1, D], found ",
            caches.size(), " caches and ", Describe(residual));
  for (const PagedKv& cache : caches) CheckCache("decode", cache);
}

HeadDims CheckAttention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                        const PagedKv& cache, const TensorView& y) {
  CheckCache("attention", cache);
  AWQ_CHECK(!cache.values.empty(), kInternal, "attention: a cache without values");
  CheckBatch("attention", batch, q.dim(0));
  AWQ_CHECK(q.rank() == 3 && q.dim(1) % cache.kv_heads() == 0, kInternal,
            "attention: q: expected [T, H, d], H a multiple of ", cache.kv_heads(), ", found ",
            Describe(q));
  const HeadDims d{q.dim(0), q.dim(1), cache.keys.dim(3)};
  CheckHeads("attention", "q", q, d.tokens, d.heads, d.head_size);
  CheckHeads("attention", "y", y, d.tokens, d.heads, d.head_size);
  if (!args.alibi_slopes.empty()) {
    CheckVector("attention", "alibi_slopes", args.alibi_slopes, DType::kF32, d.heads);
  }
  return d;
}

MlaDims CheckMlaAttention(const Batch& batch, const TensorView& q_latent, const TensorView& q_rope,
                          const PagedKv& cache, const TensorView& y) {
  CheckCache("mla_attention", cache);
  CheckBatch("mla_attention", batch, q_latent.dim(0));
  AWQ_CHECK(q_latent.rank() == 3 && q_rope.rank() == 3 && cache.kv_heads() == 1 &&
                cache.values.empty() && q_latent.dim(2) + q_rope.dim(2) == cache.keys.dim(3),
            kInternal, "mla_attention: queries ", Describe(q_latent), " and ", Describe(q_rope),
            " do not fit a cache of ", Describe(cache.keys));
  const MlaDims d{q_latent.dim(0), q_latent.dim(1), q_latent.dim(2), q_rope.dim(2)};
  CheckHeads("mla_attention", "q_latent", q_latent, d.tokens, d.heads, d.rank);
  CheckHeads("mla_attention", "q_rope", q_rope, d.tokens, d.heads, d.rope);
  CheckHeads("mla_attention", "y", y, d.tokens, d.heads, d.rank);
  return d;
}

LatentParts CheckLatentWrite(const TensorView& weight, const RopeArgs& rope, const Batch& batch,
                             const TensorView& latents, const TensorView& q_rope,
                             const PagedKv& cache) {
  CheckKvWrite(batch, latents, {}, cache);
  CheckRope(rope, batch.positions, q_rope);
  const int64_t size = latents.dim(2);
  const int64_t rank = size - q_rope.dim(2);
  CheckVector("latent_write", "weight", weight, DType::kF32, rank);
  const auto part = [&](int64_t first, int64_t end) {
    TensorView out = latents;
    out.shape = Shape{latents.dim(0), 1, end - first};
    out.strides = Shape{latents.strides[0], end - first, 1};
    out.data = latents.As<char>() + first * BitsOf(latents.dtype) / 8;
    return out;
  };
  const LatentParts parts{HeadRows(part(0, rank), 0), part(rank, size)};
  CheckNorm(parts.ranked, weight, {}, parts.ranked);
  CheckRope(rope, batch.positions, parts.rotated);
  return parts;
}

void CheckHeadLinear(const PackedStack& w, const TensorView& x, const TensorView& y) {
  CheckHeads("head_linear", "x", x, x.dim(0), w.size(), w.k());
  CheckHeads("head_linear", "y", y, x.dim(0), w.size(), w.n());
}

TensorView HeadRows(const TensorView& x, int64_t h) {
  TensorView rows = x;
  rows.shape = Shape{x.dim(0), x.dim(2)};
  rows.strides = Shape{x.strides[0], 1};
  rows.data = x.As<char>() + h * x.strides[1] * BitsOf(x.dtype) / 8;
  return rows;
}

void CheckHostBatch(const Batch& batch, const PagedKv& cache) {
  const auto* start = batch.seq_start.As<const int32_t>();
  const auto* length = batch.kv_len.As<const int32_t>();
  const auto* table = batch.block_table.As<const int32_t>();
  const int64_t seqs = batch.num_seqs();
  AWQ_CHECK(start[0] == 0 && start[seqs] == batch.num_tokens(), kInternal,
            "batch: seq_start must run from 0 to ", batch.num_tokens());
  for (int64_t b = 0; b < seqs; ++b) {
    const int64_t blocks = (length[b] + cache.page_size() - 1) / cache.page_size();
    AWQ_CHECK(start[b] <= start[b + 1] && start[b + 1] - start[b] <= length[b] &&
                  blocks <= batch.block_table.dim(1),
              kInternal, "batch: sequence ", b, ": rows [", start[b], ", ", start[b + 1],
              ") do not fit kv_len ", length[b], " in ", batch.block_table.dim(1), " pages");
    for (int64_t i = 0; i < blocks; ++i) {
      const int32_t page = table[b * batch.block_table.strides[0] + i];
      AWQ_CHECK(page >= 0 && page < cache.keys.dim(0), kInternal, "batch: sequence ", b, ": page ",
                page, " of ", cache.keys.dim(0));
    }
  }
}

}  // namespace awq
