// Rounding: a linear on its way to codes. The grids are fixed beforehand (scale and zero of each
// group); the steps below then lower tr(M (W* - Ŵ) H (W* - Ŵ)ᵀ), H the damped Gram matrix of its
// inputs and M what errors of its outputs cost: I makes it the squared error of the outputs.
#pragma once

#include <cstdint>
#include <vector>

#include "awq/base/threads.h"
#include "awq/ops/backend.h"
#include "awq/quant/grid.h"

namespace awq {

// The damped Gram matrix of a site in the forms that the steps need.
struct Hessian {
  Tensor gram;                 // F32 [K, K]: Σ x xᵀ + λ·I
  std::vector<int32_t> order;  // columns by rising diagonal; they are rounded from the last
  Tensor factor;               // F32 [K, K]: lower Cholesky factor of gram in that order
};

// λ = damp · mean diagonal. A matrix that is not positive definite even so is damped tenfold more,
// as often as it takes; one of all zeros counts as the identity. Throws kInternal if it is not
// finite.
Hessian MakeHessian(Backend& backend, const TensorView& gram, double damp);

struct Rounding {
  GridRule rule;
  Tensor target;  // F32 [N, K]: W*
  Tensor steps;   // F32 [N, K]: code - zero, whole numbers
  Tensor scales;  // F32 [N, G], values of the type in which they will be stored
  Tensor zeros;   // F32 [N, G]
  Tensor metric;  // F32 [N, B]: M, blocks on its diagonal (see output_metric.h); empty: I

  int64_t n() const { return target.shape()[0]; }
  int64_t k() const { return target.shape()[1]; }
};

// W* = W + strength · D·H⁻¹ for w [N, K], in place, where D = Σ (y* - W·x) xᵀ [N, K]: what makes
// W*·x closest to y*, the outputs of the full-precision model (strength 1).
void CorrectTarget(Backend& backend, const Hessian& hessian, const TensorView& drift,
                   double strength, const TensorView& w);

// Steps column by column, each rounding error carried into the columns still to come: GPTQ
// (arXiv:2210.17323), in the equivalent form of LDLQ (arXiv:2307.13304).
void RoundWithFeedback(Backend& backend, ThreadPool& pool, const Hessian& hessian,
                       Rounding& rounding);
// The same with feedback along the rows too, as the metric demands.
void RoundBothWays(Backend& backend, ThreadPool& pool, const Hessian& hessian, Rounding& rounding);

// One pass of cyclic coordinate descent: each code moves to its best value given all the others
// (arXiv:2309.16119 with blocks of columns). Never raises the error.
void DescendCodes(Backend& backend, ThreadPool& pool, const Hessian& hessian, Rounding& rounding);
// The same where there is a metric, which ties rows together.
void DescendCoupled(Backend& backend, ThreadPool& pool, const Hessian& hessian, Rounding& rounding);

// The scales of each row that are best for its codes together and all other rows' errors, by least
// squares, rounded to their stored type. Rows whose error would rise are left alone.
void RefitScales(Backend& backend, ThreadPool& pool, const Hessian& hessian, Rounding& rounding);

// tr(M (W* - Ŵ) H (W* - Ŵ)ᵀ).
double RoundingLoss(Backend& backend, const Hessian& hessian, const Rounding& rounding);

// error[N, K] = W* - Ŵ.
Tensor RoundingError(ThreadPool& pool, const Rounding& rounding);
// The same of rows [begin, end) of it.
void UpdateErrors(const Rounding& rounding, int64_t begin, int64_t end, const TensorView& error);

// Makes them the columns of `out` that begin at `first`, the first of a group.
void StoreColumns(const Rounding& rounding, int64_t first, QuantizedWeight& out);
QuantizedWeight ToQuantizedWeight(const Rounding& rounding);

}  // namespace awq
