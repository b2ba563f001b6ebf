// Cholesky factors and triangular systems, f32, in panels: small kernels for the diagonal, products
// by cuBLASLt for the rest.
#pragma once

#include "awq/backend/cuda/blas.h"

namespace awq::cuda {

// As Backend::Cholesky; waits for the device.
int64_t Cholesky(Stream& stream, Blas& blas, const TensorView& a);
// As Backend::SolveTriangular.
void SolveTriangular(Stream& stream, Blas& blas, const TensorView& l, bool transpose,
                     const TensorView& b);

}  // namespace awq::cuda
