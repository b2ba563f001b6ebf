// The tensors a quantized linear is stored as: fetching them checked, and converting their scales.
#pragma once

#include <initializer_list>
#include <string>

#include "awq/pack/format.h"

namespace awq {

// The named tensor. Throws kNotFound, kCorrupt naming it, what was expected (`why` says where that
// comes from, e.g. "K=4096, N=11008, 4-bit") and what was found.
Tensor RequirePart(const TensorLookup& tensors, const std::string& name,
                   std::initializer_list<DType> types, const Shape& shape, const std::string& why);

// Elements [R, C] → [C, R], in another float type if need be. Throws kUnsupported, naming `name`,
// when a scale does not survive the conversion: it overflows or vanishes.
Tensor TransposeScales(const TensorView& scales, DType type, const std::string& name);
// The same without transposing.
Tensor ConvertScales(const TensorView& scales, DType type, const std::string& name);

}  // namespace awq
