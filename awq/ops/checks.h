// The shape contract of every op, checked at entry by every backend. A check costs a few compares:
// messages are built only on failure (kInternal).
#pragma once

#include <cstdint>
#include <span>

#include "awq/ops/args.h"
#include "awq/ops/packed_weight.h"

namespace awq {

struct LinearDims {
  int64_t m, n, k;
};
LinearDims CheckLinear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
                       const TensorView& y);

// n: outputs of the weight, twice those of y.
LinearDims CheckGatedLinear(const PackedWeight& w, const TensorView& x, const TensorView& bias,
                            const TensorView& y);

// Two dimensions: rows, columns.
struct RowDims {
  int64_t rows, columns;
};
RowDims CheckNorm(const TensorView& x, const TensorView& weight, const TensorView& bias,
                  const TensorView& y);
void CheckAddNorm(const TensorView& residual, const TensorView& x, const TensorView& weight,
                  const TensorView& bias, const TensorView& y);
void CheckNormAddNorm(const PostNorm& post, const TensorView& residual, const TensorView& x,
                      const TensorView& weight, const TensorView& bias, const TensorView& y);
RowDims CheckArgMax(const TensorView& logits, const TensorView& ids);
RowDims CheckSample(const SampleArgs& args, const TensorView& logits, const TensorView& ids);
RowDims CheckAdvance(const AdvanceArgs& args, const TensorView& ids);  // rows of record, R
RowDims CheckAdd(const TensorView& residual, const TensorView& x);
RowDims CheckScale(const TensorView& x, const TensorView& y);
RowDims CheckActivate(const TensorView& gate, const TensorView& up, const TensorView& y);
RowDims CheckEmbed(const TensorView& tokens, const TensorView& table, const TensorView& y);
RowDims CheckGatherRows(const TensorView& from, const TensorView& rows, const TensorView& to);
RowDims CheckGram(const TensorView& x, const TensorView& gram);
RowDims CheckCrossGram(const TensorView& x, const TensorView& y, const TensorView& gram);
int64_t CheckCholesky(const TensorView& a);                              // K
RowDims CheckSolveTriangular(const TensorView& l, const TensorView& b);  // rows, columns of b
RowDims CheckAbsSum(const TensorView& x, const TensorView& sums);
LinearDims CheckMatMul(const TensorView& a, const TensorView& b, bool transpose_b,
                       const TensorView& c);

struct HeadDims {
  int64_t tokens, heads, head_size;
};
HeadDims CheckRope(const RopeArgs& args, const TensorView& positions, const TensorView& x);
HeadDims CheckKvWrite(const Batch& batch, const TensorView& k, const TensorView& v,
                      const PagedKv& cache);
// A batch of one token.
void CheckDecode(const Batch& batch, std::span<const PagedKv> caches, const TensorView& residual);
HeadDims CheckAttention(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                        const PagedKv& cache, const TensorView& y);
struct MlaDims {
  int64_t tokens, heads, rank, rope;
};
MlaDims CheckMlaAttention(const Batch& batch, const TensorView& q_latent, const TensorView& q_rope,
                          const PagedKv& cache, const TensorView& y);
struct LatentParts {
  TensorView ranked;   // [T, rank]
  TensorView rotated;  // [T, 1, rope]
};
LatentParts CheckLatentWrite(const TensorView& weight, const RopeArgs& rope, const Batch& batch,
                             const TensorView& latents, const TensorView& q_rope,
                             const PagedKv& cache);
void CheckHeadLinear(const PackedStack& w, const TensorView& x, const TensorView& y);
// Head h of x [T, H, K] as rows [T, K].
TensorView HeadRows(const TensorView& x, int64_t h);

struct RouteDims {
  int64_t tokens, experts, active;
};
RouteDims CheckRoute(const RouteArgs& args, const TensorView& logits, const TensorView& bias,
                     const Routing& routing);
struct MoeDims {
  int64_t pairs, pairs_per_row, n, k;  // pairs that read one row of x
};
// y of half as many columns as a weight has outputs.
MoeDims CheckGatedMoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                            const TensorView& y);
MoeDims CheckMoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                       const TensorView& y);
RowDims CheckMoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
                    const TensorView& gate, const TensorView& y);

// On host backends alone: sequences lie inside the batch, pages inside the cache.
void CheckHostBatch(const Batch& batch, const PagedKv& cache);

}  // namespace awq
