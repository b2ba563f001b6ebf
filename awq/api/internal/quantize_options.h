// What the options of a quantization allow, and what follows from them alone.
#pragma once

#include <memory>
#include <string>

#include "awq/api/quantize.h"
#include "awq/ops/backend.h"
#include "awq/pack/format.h"
#include "awq/quant/method.h"

namespace awq {

// Throws kInvalidArgument or kNotFound that names the option.
void CheckOptions(const QuantizeOptions& options);
// Whether formats are chosen set by set.
bool HasBudget(const QuantizeOptions& options);
// JSON of those that the output depends on.
std::string DescribeOptions(const QuantizeOptions& options);
MethodOptions MakeMethodOptions(const QuantizeOptions& options, const PackFormat& format,
                                DType model_type);
// The methods compute on host tensors.
std::unique_ptr<Backend> MakeHostBackend(const QuantizeOptions& options);

}  // namespace awq
