// Attention: grouped-query self-attention over a paged cache, with RoPE and optional q/k norms.
#pragma once

#include "awq/model/spec.h"
#include "awq/nn/context.h"
#include "awq/nn/linear_group.h"
#include "awq/ops/args.h"

namespace awq {

struct AttentionWeights {
  LinearGroup qkv;
  LinearGroup o;
  Tensor q_norm, k_norm;  // F32 [d] on the device; empty without q/k norms
};

class Attention {
 public:
  Attention(Backend& backend, const GqaSpec& spec, const NormSpec& norm, AttentionWeights weights);

  // y [T, D] = attention of x [T, D]; writes the batch's keys and values to the cache first.
  void Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache, const TensorView& x,
               const TensorView& y) const;
  // All of it but the output projection: mixed [T, H·d].
  void Mix(ExecContext& ctx, const Batch& batch, const PagedKv& cache, const TensorView& x,
           const TensorView& mixed) const;

 private:
  // Rotates q and k; stores k and v.
  void RotateAndStore(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                      const TensorView& q, const TensorView& k, const TensorView& v) const;

  GqaSpec spec_;
  NormSpec norm_;
  AttentionWeights weights_;
  Tensor frequencies_;  // empty when they depend on the length of each sequence
};

}  // namespace awq
