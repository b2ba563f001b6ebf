// DecoderLayer: one block of the residual stream.
#pragma once

#include <cstdint>

#include "awq/checkpoint/weights.h"
#include "awq/nn/attention.h"
#include "awq/nn/mlp.h"
#include "awq/nn/norm.h"

namespace awq {

class DecoderLayer {
 public:
  DecoderLayer(Norm attn_norm, Attention attention, Norm ffn_norm, Mlp mlp)
      : attn_norm_(std::move(attn_norm)),
        attention_(std::move(attention)),
        ffn_norm_(std::move(ffn_norm)),
        mlp_(std::move(mlp)) {}

  // residual [T, D] F32, in place.
  void Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
               const TensorView& residual) const;
  // The same, but the last sum is left to the next layer: x [T, D] of act is what residual lacks
  // yet, on entry when `pending`, and on return.
  void Continue(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                const TensorView& residual, const TensorView& x, bool pending) const;

  const Norm& attn_norm() const { return attn_norm_; }
  const Attention& attention() const { return attention_; }
  const Norm& ffn_norm() const { return ffn_norm_; }
  const Mlp& mlp() const { return mlp_; }

 private:
  Norm attn_norm_;
  Attention attention_;
  Norm ffn_norm_;
  Mlp mlp_;
};

// Parts whose linears `params` lacks must not be run.
DecoderLayer MakeDecoderLayer(Backend& backend, const ModelSpec& model, int64_t layer,
                              const LayerParams& params);

}  // namespace awq
