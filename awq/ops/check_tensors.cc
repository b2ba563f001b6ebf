#include "awq/ops/check_tensors.h"

namespace awq {

bool IsFloat(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

std::string Describe(const TensorView& t) {
  return t.empty() ? "nothing" : Cat(NameOf(t.dtype), " ", t.shape);
}

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

}  // namespace awq
