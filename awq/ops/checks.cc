#include "awq/ops/checks.h"

#include "awq/ops/check_tensors.h"

namespace awq {

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

void CheckNormAddNorm(const PostNorm& post, const TensorView& residual, const TensorView& x,
                      const TensorView& weight, const TensorView& bias, const TensorView& y) {
  CheckNorm(x, post.weight, post.bias, x);
  CheckAddNorm(residual, x, weight, bias, y);
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

}  // namespace awq
