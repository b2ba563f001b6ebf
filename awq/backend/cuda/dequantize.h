// Quantized weights back to floats, a range of outputs at a time: for types and sizes that no
// kernel of the table takes.
#pragma once

#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/packed.h"

namespace awq::cuda {

// to[rows, K] = outputs [first, first + rows) of w; F32, F16 or BF16.
void Dequantize(const Queue& queue, const Q4Weight& w, int64_t first, const TensorView& to);
void Dequantize(const Queue& queue, const Q8Weight& w, int64_t first, const TensorView& to);
void Dequantize(const Queue& queue, const PlainWeight& w, int64_t first, const TensorView& to);

}  // namespace awq::cuda
