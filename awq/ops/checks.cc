#include "awq/ops/checks.h"

#include <string>

namespace awq {
namespace {

bool IsFloat(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

std::string Describe(const TensorView& t) {
  return t.empty() ? "nothing" : Cat(NameOf(t.dtype), " ", t.shape);
}

// A vector of `size` elements, dense.
void CheckVector(const char* op, const char* name, const TensorView& t, DType type, int64_t size) {
  AWQ_CHECK(t.rank() == 1 && t.dim(0) == size && t.dtype == type && t.data != nullptr, kInternal,
            op, ": ", name, ": expected ", NameOf(type), " [", size, "], found ", Describe(t));
}

void CheckMatrix(const char* op, const char* name, const TensorView& t, int64_t rows,
                 int64_t columns) {
  AWQ_CHECK(t.rank() == 2 && t.dim(0) == rows && t.dim(1) == columns && IsFloat(t.dtype) &&
                t.strides[1] == 1,
            kInternal, op, ": ", name, ": expected floats [", rows, ", ", columns, "], found ",
            Describe(t));
}

void CheckF32(const char* op, const char* name, const TensorView& t) {
  AWQ_CHECK(t.dtype == DType::kF32, kInternal, op, ": ", name, ": expected F32, found ",
            Describe(t));
}

void CheckAnyMatrix(const char* op, const char* name, const TensorView& t) {
  AWQ_CHECK(t.rank() == 2, kInternal, op, ": ", name, ": expected a matrix, found ", Describe(t));
  CheckMatrix(op, name, t, t.dim(0), t.dim(1));
}

// [tokens, heads, head_size], the last two dimensions dense.
void CheckHeads(const char* op, const char* name, const TensorView& t, int64_t tokens,
                int64_t heads, int64_t head_size) {
  AWQ_CHECK(t.rank() == 3 && t.dim(0) == tokens && t.dim(1) == heads && t.dim(2) == head_size &&
                IsFloat(t.dtype) && t.strides[2] == 1 && t.strides[1] == head_size,
            kInternal, op, ": ", name, ": expected floats [", tokens, ", ", heads, ", ", head_size,
            "] with dense heads, found ", Describe(t));
}

void CheckCache(const char* op, const PagedKv& cache) {
  const TensorView& k = cache.keys;
  const TensorView& v = cache.values;
  const bool alike = v.empty() || (k.shape == v.shape && k.dtype == v.dtype && v.IsContiguous());
  const bool floats = IsFloat(k.dtype) || k.dtype == DType::kF8E4M3;
  AWQ_CHECK(k.rank() == 4 && alike && floats && k.IsContiguous(), kInternal, op,
            ": cache: expected dense floats [pages, G, page_size, d], found keys ", Describe(k),
            ", values ", Describe(v));
}

void CheckBatch(const char* op, const Batch& batch, int64_t tokens) {
  const int64_t seqs = batch.kv_len.rank() == 1 ? batch.num_seqs() : 0;
  CheckVector(op, "kv_len", batch.kv_len, DType::kI32, seqs);
  CheckVector(op, "seq_start", batch.seq_start, DType::kI32, seqs + 1);
  CheckVector(op, "tokens", batch.tokens, DType::kI32, tokens);
  const TensorView& table = batch.block_table;
  AWQ_CHECK(table.rank() == 2 && table.dim(0) == seqs && table.dtype == DType::kI32, kInternal, op,
            ": block_table: expected I32 [", seqs, ", blocks], found ", Describe(table));
}

}  // namespace

LinearDims CheckLinear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
                       const TensorView& y) {
  const int64_t m = x.rank() == 2 ? x.dim(0) : -1;
  CheckMatrix("linear", "x", x, m, w.k());
  CheckMatrix("linear", "y", y, m, w.n());
  if (!bias.empty()) CheckVector("linear", "bias", bias, DType::kF32, w.n());
  return {m, w.n(), w.k()};
}

LinearDims CheckGatedLinear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
                            const TensorView& y) {
  const int64_t m = x.rank() == 2 ? x.dim(0) : -1;
  CheckMatrix("gated_linear", "x", x, m, w.k());
  CheckMatrix("gated_linear", "y", y, m, w.n() / 2);
  AWQ_CHECK(x.dtype == y.dtype && w.n() % 2 == 0, kInternal, "gated_linear: x is ", NameOf(x.dtype),
            ", y is ", NameOf(y.dtype), ", outputs of the weight: ", w.n());
  if (!bias.empty()) CheckVector("gated_linear", "bias", bias, DType::kF32, w.n());
  return {m, w.n(), w.k()};
}

RowDims CheckNorm(const TensorView& x, const TensorView& weight, const TensorView& bias,
                  const TensorView& y) {
  const int last = x.rank() - 1;
  AWQ_CHECK((last == 1 || last == 2) && x.shape == y.shape && IsFloat(x.dtype) &&
                IsFloat(y.dtype) && x.strides[last] == 1 && y.strides[last] == 1,
            kInternal, "norm: expected x and y floats [R, C] or [T, heads, C], found ", Describe(x),
            " and ", Describe(y));
  CheckVector("norm", "weight", weight, DType::kF32, x.dim(last));
  if (!bias.empty()) CheckVector("norm", "bias", bias, DType::kF32, x.dim(last));
  return {x.NumRows(), x.dim(last)};
}

void CheckAddNorm(const TensorView& residual, const TensorView& x, const TensorView& weight,
                  const TensorView& bias, const TensorView& y) {
  CheckAdd(residual, x);
  CheckNorm(residual, weight, bias, y);
}

RowDims CheckArgMax(const TensorView& logits, const TensorView& ids) {
  CheckAnyMatrix("argmax", "logits", logits);
  CheckF32("argmax", "logits", logits);
  CheckVector("argmax", "ids", ids, DType::kI32, logits.dim(0));
  return {logits.dim(0), logits.dim(1)};
}

RowDims CheckSample(const SampleArgs& args, const TensorView& logits, const TensorView& ids) {
  const RowDims d = CheckArgMax(logits, ids);
  constexpr int64_t kMostTokens = int64_t{1} << 19;
  AWQ_CHECK(d.columns <= kMostTokens, kUnsupported, "sample: a vocabulary of ", d.columns,
            " tokens; supported: up to ", kMostTokens);
  for (const TensorView& t : {args.temperature, args.top_p, args.most_distance, args.repetition}) {
    CheckVector("sample", "parameters", t, DType::kF32, d.rows);
  }
  CheckVector("sample", "top_k", args.top_k, DType::kI32, d.rows);
  const auto check = [&](const char* name, const TensorView& t, DType type, int64_t columns) {
    AWQ_CHECK(t.rank() == 2 && t.dim(0) == d.rows && t.dim(1) == columns && t.dtype == type &&
                  t.IsContiguous(),
              kInternal, "sample: ", name, ": expected dense ", NameOf(type), " [", d.rows, ", ",
              columns, "], found ", Describe(t));
  };
  check("random", args.random, DType::kI32, 2);
  if (args.seen.empty()) return d;
  check("seen", args.seen, DType::kI32, args.seen.dim(1));
  check("subtract", args.subtract, DType::kF32, args.seen.dim(1));
  return d;
}

RowDims CheckAdvance(const AdvanceArgs& args, const TensorView& ids) {
  const int64_t rows = ids.NumElements();
  const auto check = [](const char* name, const TensorView& t, int64_t size) {
    CheckVector("advance", name, t, DType::kI32, size);
  };
  check("ids", ids, rows);
  check("next", args.next, 1);
  check("tokens", args.tokens, rows);
  check("positions", args.positions, rows);
  check("kv_len", args.kv_len, rows);
  const TensorView& record = args.record;
  AWQ_CHECK(record.rank() == 2 && record.dim(0) > 0 && record.dim(1) == rows &&
                record.dtype == DType::kI32 && record.IsContiguous() &&
                record.device == Device::kCpu,
            kInternal, "advance: record: expected dense i32 [at least 1, ", rows,
            "] on the host, found ", Describe(record));
  return {record.dim(0), rows};
}

RowDims CheckAdd(const TensorView& residual, const TensorView& x) {
  CheckAnyMatrix("add", "x", x);
  CheckMatrix("add", "residual", residual, x.dim(0), x.dim(1));
  CheckF32("add", "residual", residual);
  return {x.dim(0), x.dim(1)};
}

RowDims CheckScale(const TensorView& x, const TensorView& y) {
  CheckAnyMatrix("scale", "x", x);
  CheckMatrix("scale", "y", y, x.dim(0), x.dim(1));
  return {x.dim(0), x.dim(1)};
}

RowDims CheckActivate(const TensorView& gate, const TensorView& up, const TensorView& y) {
  CheckAnyMatrix("activate", "up", up);
  if (!gate.empty()) CheckMatrix("activate", "gate", gate, up.dim(0), up.dim(1));
  CheckMatrix("activate", "y", y, up.dim(0), up.dim(1));
  return {up.dim(0), up.dim(1)};
}

RowDims CheckEmbed(const TensorView& tokens, const TensorView& table, const TensorView& y) {
  CheckAnyMatrix("embed", "table", table);
  CheckVector("embed", "tokens", tokens, DType::kI32, tokens.dim(0));
  CheckMatrix("embed", "y", y, tokens.dim(0), table.dim(1));
  CheckF32("embed", "y", y);
  return {tokens.dim(0), table.dim(1)};
}

RowDims CheckGatherRows(const TensorView& from, const TensorView& rows, const TensorView& to) {
  CheckAnyMatrix("gather", "from", from);
  CheckVector("gather", "rows", rows, DType::kI32, rows.dim(0));
  CheckMatrix("gather", "to", to, rows.dim(0), from.dim(1));
  CheckF32("gather", "from", from);
  CheckF32("gather", "to", to);
  return {rows.dim(0), from.dim(1)};
}

RowDims CheckGram(const TensorView& x, const TensorView& gram) {
  CheckAnyMatrix("gram", "x", x);
  CheckMatrix("gram", "gram", gram, x.dim(1), x.dim(1));
  CheckF32("gram", "gram", gram);
  return {x.dim(0), x.dim(1)};
}

RowDims CheckCrossGram(const TensorView& x, const TensorView& y, const TensorView& gram) {
  CheckAnyMatrix("crossgram", "x", x);
  CheckMatrix("crossgram", "y", y, x.dim(0), y.dim(1));
  CheckMatrix("crossgram", "gram", gram, x.dim(1), y.dim(1));
  CheckF32("crossgram", "gram", gram);
  return {x.dim(0), x.dim(1)};
}

int64_t CheckCholesky(const TensorView& a) {
  CheckAnyMatrix("cholesky", "a", a);
  CheckMatrix("cholesky", "a", a, a.dim(0), a.dim(0));
  CheckF32("cholesky", "a", a);
  return a.dim(0);
}

RowDims CheckSolveTriangular(const TensorView& l, const TensorView& b) {
  CheckAnyMatrix("solve", "b", b);
  CheckMatrix("solve", "l", l, b.dim(1), b.dim(1));
  CheckF32("solve", "l", l);
  CheckF32("solve", "b", b);
  return {b.dim(0), b.dim(1)};
}

RowDims CheckAbsSum(const TensorView& x, const TensorView& sums) {
  CheckAnyMatrix("abssum", "x", x);
  CheckVector("abssum", "sums", sums, DType::kF32, x.dim(1));
  return {x.dim(0), x.dim(1)};
}

LinearDims CheckMatMul(const TensorView& a, const TensorView& b, bool transpose_b,
                       const TensorView& c) {
  CheckAnyMatrix("matmul", "a", a);
  CheckAnyMatrix("matmul", "c", c);
  const int64_t k = a.dim(1);
  const int64_t n = c.dim(1);
  CheckMatrix("matmul", "b", b, transpose_b ? n : k, transpose_b ? k : n);
  CheckMatrix("matmul", "c", c, a.dim(0), n);
  CheckF32("matmul", "a", a);
  CheckF32("matmul", "b", b);
  CheckF32("matmul", "c", c);
  return {a.dim(0), n, k};
}

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

RouteDims CheckRoute(const RouteArgs& args, const TensorView& logits, const TensorView& bias,
                     const Routing& routing) {
  CheckAnyMatrix("route", "logits", logits);
  CheckF32("route", "logits", logits);
  const RouteDims d{logits.dim(0), logits.dim(1), routing.experts.dim(1)};
  if (!bias.empty()) CheckVector("route", "bias", bias, DType::kF32, d.experts);
  const Shape chosen{d.tokens, d.active};
  AWQ_CHECK(routing.experts.shape == chosen && routing.weights.shape == chosen &&
                routing.experts.dtype == DType::kI32 && routing.weights.dtype == DType::kF32 &&
                routing.experts.IsContiguous() && routing.weights.IsContiguous(),
            kInternal, "route: expected I32 and F32 ", chosen, ", found ",
            Describe(routing.experts), " and ", Describe(routing.weights));
  CheckVector("route", "pairs", routing.pairs, DType::kI32, d.tokens * d.active);
  CheckVector("route", "starts", routing.starts, DType::kI32, d.experts + 1);
  AWQ_CHECK(args.groups > 0 && d.experts % args.groups == 0 && args.active_groups <= args.groups &&
                args.rank_by <= d.experts / args.groups && d.active <= d.experts,
            kInternal, "route: ", d.active, " experts from ", args.active_groups, " of ",
            args.groups, " groups of ", d.experts);
  return d;
}

namespace {

MoeDims CheckMoe(const char* op, const PackedStack& w, int64_t outputs, const Routing& routing,
                 const TensorView& x, const TensorView& y) {
  const int64_t pairs = routing.pairs.dim(0);
  CheckVector(op, "starts", routing.starts, DType::kI32, w.size() + 1);
  CheckAnyMatrix(op, "x", x);
  CheckMatrix(op, "x", x, x.dim(0), w.k());
  CheckMatrix(op, "y", y, pairs, outputs);
  AWQ_CHECK(x.dim(0) > 0 && (x.dim(0) == pairs || x.dim(0) == routing.experts.dim(0)), kInternal,
            op, ": x: ", x.dim(0), " rows for ", pairs, " pairs");
  return {pairs, pairs / x.dim(0), outputs, w.k()};
}

}  // namespace

MoeDims CheckMoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                       const TensorView& y) {
  return CheckMoe("moe_linear", w, w.n(), routing, x, y);
}
MoeDims CheckGatedMoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                            const TensorView& y) {
  return CheckMoe("gated_moe_linear", w, w.n() / 2, routing, x, y);
}

RowDims CheckMoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
                    const TensorView& gate, const TensorView& y) {
  CheckAnyMatrix("moe_sum", "y", y);
  CheckMatrix("moe_sum", "x", x, routing.pairs.dim(0), y.dim(1));
  CheckMatrix("moe_sum", "y", y, routing.experts.dim(0), y.dim(1));
  if (!shared.empty()) CheckMatrix("moe_sum", "shared", shared, y.dim(0), y.dim(1));
  if (!gate.empty()) {
    CheckMatrix("moe_sum", "gate", gate, y.dim(0), 1);
    CheckF32("moe_sum", "gate", gate);
    AWQ_CHECK(!shared.empty(), kInternal, "moe_sum: a gate of nothing");
  }
  return {y.dim(0), y.dim(1)};
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
