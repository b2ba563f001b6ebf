// Operations that go through rows of elements: what a decoder does between its products.
// Arguments have passed the checks of ops/checks.h; every call is asynchronous.
#pragma once

#include "awq/backend/cuda/launch.h"
#include "awq/ops/args.h"

namespace awq::cuda {

void Norm(const Queue& queue, const NormArgs& args, const TensorView& x, const TensorView& weight,
          const TensorView& bias, const TensorView& y);
void AddNorm(const Queue& queue, const NormArgs& args, const TensorView& residual,
             const TensorView& x, const TensorView& weight, const TensorView& bias,
             const TensorView& y);
// False where it is not served: RMS norms without a bias alone, x and y of one type, short rows.
bool NormAddNorm(const Queue& queue, const PostNorm& post, const NormArgs& args,
                 const TensorView& residual, const TensorView& x, const TensorView& weight,
                 const TensorView& bias, const TensorView& y);
void ArgMax(const Queue& queue, const TensorView& logits, const TensorView& ids);
void Advance(const Queue& queue, const AdvanceArgs& args, const TensorView& ids);
void Add(const Queue& queue, const TensorView& residual, const TensorView& x);
void Scale(const Queue& queue, const ScaleArgs& args, const TensorView& x, const TensorView& y);
void Rope(const Queue& queue, const RopeArgs& args, const TensorView& positions,
          const TensorView& x);
void Activate(const Queue& queue, Activation kind, const TensorView& gate, const TensorView& up,
              const TensorView& y);
void KvWrite(const Queue& queue, const Batch& batch, const TensorView& k, const TensorView& v,
             const PagedKv& cache);
void RopeKvWrite(const Queue& queue, const HeadNorms& norms, const RopeArgs& args,
                 const Batch& batch, const TensorView& q, const TensorView& k, const TensorView& v,
                 const PagedKv& cache);
// False where it is not served: RMS norms alone.
bool LatentWrite(const Queue& queue, const NormArgs& norm, const TensorView& weight,
                 const RopeArgs& rope, const Batch& batch, const TensorView& latents,
                 const TensorView& q_rope, const PagedKv& cache);
// to[i] = from[rows[i]]; a row outside `from` becomes NaN.
void TakeRows(const Queue& queue, const TensorView& from, const TensorView& rows,
              const TensorView& to);
// y[M, N] += bias[N].
void AddBias(const Queue& queue, const TensorView& y, const TensorView& bias);
// Any float type to any other, the same shape; both of rank 2.
void Convert(const Queue& queue, const TensorView& from, const TensorView& to);
void AbsSum(const Queue& queue, const TensorView& x, const TensorView& sums);

}  // namespace awq::cuda
