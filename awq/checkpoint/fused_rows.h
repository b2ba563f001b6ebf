// Rows of fused modules: from the module to its parts and back, whatever the parts are made of.
#pragma once

#include <span>
#include <vector>

#include "awq/base/tensor.h"
#include "awq/model/names.h"
#include "awq/pack/quantized_weight.h"

namespace awq {

// Part `part` of a module's tensor [ΣN] or [ΣN, …]; `rows` are the N of all parts. Shares the
// memory where the part is one piece of it.
Tensor TakePart(const Tensor& whole, const FusedLinear& fused, std::span<const int64_t> rows,
                size_t part);
QuantizedWeight TakePart(const QuantizedWeight& whole, const FusedLinear& fused,
                         std::span<const int64_t> rows, size_t part);

// The module's tensor of its parts, all of one type.
Tensor Fuse(const std::vector<TensorView>& parts, const FusedLinear& fused);
QuantizedWeight Fuse(const std::vector<const QuantizedWeight*>& parts, const FusedLinear& fused);

}  // namespace awq
