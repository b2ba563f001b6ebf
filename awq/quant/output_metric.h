// OutputMetric: how much an error in one output of a linear costs the model, and together with
// errors in the others: the second moments of the gradients at its outputs, which are the Fisher
// information of the model's predictions. The Hessian of the loss by the weights is then about
// M ⊗ H, H the Gram matrix of the inputs (K-FAC, arXiv:1503.05671; for rounding YAQA,
// arXiv:2505.22988).
#pragma once

#include "awq/base/tensor.h"
#include "awq/ops/backend.h"

namespace awq {

// Outputs further apart than this are taken as independent.
inline constexpr int64_t kMetricColumns = 1024;

// From Σ g gᵀ of the gradients g [N], kept as blocks [N, B] on the diagonal (see moments.h): scaled
// to a mean diagonal of 1, plus damp · I. Empty, which stands for I, if it is zero or not finite.
Tensor MakeOutputMetric(const TensorView& sums, double damp);

}  // namespace awq
