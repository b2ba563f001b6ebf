// Attention: grouped-query self-attention over a paged cache; positions by RoPE, ALiBi or not at
// all.
#pragma once

#include <optional>

#include "awq/model/spec.h"
#include "awq/nn/context.h"
#include "awq/nn/linear_group.h"
#include "awq/nn/norm.h"
#include "awq/ops/args.h"

namespace awq {

struct AttentionWeights {
  LinearGroup qkv;
  LinearGroup o;
  std::optional<Norm> q_norm, k_norm;  // of each head: both or none
};

class Attention {
 public:
  Attention(Backend& backend, const GqaSpec& spec, AttentionWeights weights);

  // y [T, D] = attention of x [T, D]; writes the batch's keys and values to the cache first.
  void Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache, const TensorView& x,
               const TensorView& y) const;
  // All of it but the output projection: mixed [T, H·d].
  void Mix(ExecContext& ctx, const Batch& batch, const PagedKv& cache, const TensorView& x,
           const TensorView& mixed) const;

  const AttentionWeights& weights() const { return weights_; }
  TensorView frequencies() const { return frequencies_.view(); }  // empty: they change

 private:
  // Norms of heads, where there are any; rotates q and k where positions are told so; stores k and
  // v.
  void NormRotateStore(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                       const TensorView& q, const TensorView& k, const TensorView& v) const;

  GqaSpec spec_;
  AttentionWeights weights_;
  Tensor frequencies_;   // empty when they depend on the length of each sequence
  Tensor alibi_slopes_;  // [H], or empty
};

}  // namespace awq
