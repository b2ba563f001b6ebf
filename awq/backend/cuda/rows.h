// Operations that go through rows of elements: what a decoder does between its products.
// Arguments have passed the checks of ops/checks.h; every call is asynchronous.
#pragma once

#include <cuda_runtime_api.h>

#include "awq/ops/args.h"

namespace awq::cuda {

void Norm(cudaStream_t stream, const NormArgs& args, const TensorView& x, const TensorView& weight,
          const TensorView& bias, const TensorView& y);
void Add(cudaStream_t stream, const TensorView& residual, const TensorView& x);
void Rope(cudaStream_t stream, const RopeArgs& args, const TensorView& positions,
          const TensorView& x);
void Activate(cudaStream_t stream, Activation kind, const TensorView& gate, const TensorView& up,
              const TensorView& y);
void KvWrite(cudaStream_t stream, const Batch& batch, const TensorView& k, const TensorView& v,
             const PagedKv& cache);
// to[i] = from[rows[i]]; a row outside `from` becomes NaN.
void TakeRows(cudaStream_t stream, const TensorView& from, const TensorView& rows,
              const TensorView& to);
// y[M, N] += bias[N].
void AddBias(cudaStream_t stream, const TensorView& y, const TensorView& bias);
// Any float type to any other, the same shape; both of rank 2.
void Convert(cudaStream_t stream, const TensorView& from, const TensorView& to);
void AbsSum(cudaStream_t stream, const TensorView& x, const TensorView& sums);

}  // namespace awq::cuda
