// The constructors of all quantization methods; awq/quant/method.cc lists them.
#pragma once

#include <memory>

#include "awq/quant/method.h"
#include "awq/quant/search_scale.h"

namespace awq {

std::unique_ptr<QuantMethod> MakeRtnMethod();
std::unique_ptr<QuantMethod> MakeAwqMethod();
std::unique_ptr<QuantMethod> MakeAutoAwqMethod();
std::unique_ptr<QuantMethod> MakeGptqMethod();
std::unique_ptr<QuantMethod> MakeJointMethod();

// Relative output error of a quantized linear: of w as it stands (already rescaled and clipped)
// against `target` in the same coordinates, weighted by gram; weight-only when gram is empty.
double RelativeError(Backend& backend, const QuantizedWeight& quantized, const TensorView& target,
                     const TensorView& gram);

// What the options' effort means for the scale search of awq and joint.
ScaleSearchOptions ScaleSearchOptionsOf(const MethodOptions& options);

}  // namespace awq
