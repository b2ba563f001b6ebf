// Internal to api: sanity of weight values.
#pragma once

#include <optional>
#include <string>

#include "awq/base/tensor.h"
#include "awq/pack/quantized_weight.h"

namespace awq {

// What is wrong, or nothing: "element 17 is nan".
std::optional<std::string> FindBadValue(const TensorView& values);
// Scales that are not finite or zero where codes are not, zeros above the largest code, all codes
// equal.
std::optional<std::string> FindBadValue(const QuantizedWeight& weight);

}  // namespace awq
