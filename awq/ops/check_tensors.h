// What the checks of ops (checks.h) ask of one argument. Each throws kInternal, naming op and
// argument.
#pragma once

#include <string>

#include "awq/ops/args.h"

namespace awq {

bool IsFloat(DType type);  // F32, F16, BF16
// "F16 [3, 64]", or "nothing".
std::string Describe(const TensorView& t);

// A vector of `size` elements, dense.
void CheckVector(const char* op, const char* name, const TensorView& t, DType type, int64_t size);
// Floats, rows dense.
void CheckMatrix(const char* op, const char* name, const TensorView& t, int64_t rows,
                 int64_t columns);
void CheckAnyMatrix(const char* op, const char* name, const TensorView& t);
void CheckF32(const char* op, const char* name, const TensorView& t);
// Floats [tokens, heads, head_size], the last two dimensions dense.
void CheckHeads(const char* op, const char* name, const TensorView& t, int64_t tokens,
                int64_t heads, int64_t head_size);
// Keys and, if any, values of one layer.
void CheckCache(const char* op, const PagedKv& cache);
void CheckBatch(const char* op, const Batch& batch, int64_t tokens);

}  // namespace awq
