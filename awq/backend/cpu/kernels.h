// The CPU kernels behind their run-time choice of instruction set. Shapes have been checked.
#pragma once

#include "awq/backend/cpu/packed.h"
#include "awq/backend/cpu/scratch.h"
#include "awq/base/threads.h"
#include "awq/ops/args.h"

namespace awq::cpu {

// What every kernel works with.
struct Machine {
  ThreadPool& pool;
  Scratch& scratch;
  bool deterministic;  // a row's sums are the same however many rows there are (make_backend.h)
  bool tiles = true;   // those of tiles.h where the processor has them
};

void LinearQuantized(Machine& machine, const PackedQuantized& w, const TensorView& x,
                     const TensorView& bias, const TensorView& y);
void LinearDense(Machine& machine, const PackedDense& w, const TensorView& x,
                 const TensorView& bias, const TensorView& y);
void Norm(Machine& machine, const NormArgs& args, const TensorView& x, const TensorView& weight,
          const TensorView& bias, const TensorView& y);
void Add(Machine& machine, const TensorView& residual, const TensorView& x);
void Scale(Machine& machine, const ScaleArgs& args, const TensorView& x, const TensorView& y);
void Rope(Machine& machine, const RopeArgs& args, const TensorView& positions, const TensorView& x);
void Activate(Machine& machine, Activation kind, const TensorView& gate, const TensorView& up,
              const TensorView& y);
void Embed(Machine& machine, const TensorView& tokens, const TensorView& table,
           const TensorView& y);
void KvWrite(Machine& machine, const Batch& batch, const TensorView& k, const TensorView& v,
             const PagedKv& cache);
// A query is [q | q_rest], q_rest empty or [T, H, *]; the first y.dim(2) elements of a value are
// mixed.
void Attention(Machine& machine, const AttentionArgs& args, const Batch& batch, const TensorView& q,
               const TensorView& q_rest, const PagedKv& cache, const TensorView& y);
void Gram(Machine& machine, const TensorView& x, const TensorView& gram);
void CrossGram(Machine& machine, const TensorView& x, const TensorView& y, const TensorView& gram);
void AbsSum(Machine& machine, const TensorView& x, const TensorView& sums);
void MatMul(Machine& machine, const TensorView& a, const TensorView& b, bool transpose_b,
            const TensorView& c);
// To the last bits of f32: MatMul may leave out 2^-16 of each term.
void ExactMatMul(Machine& machine, const TensorView& a, const TensorView& b, bool transpose_b,
                 const TensorView& c);
int64_t Cholesky(Machine& machine, const TensorView& a);
void SolveTriangular(Machine& machine, const TensorView& l, bool transpose, const TensorView& b);

// The instruction set in use, e.g. "AVX3_DL".
const char* TargetName();

}  // namespace awq::cpu
