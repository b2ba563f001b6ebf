// DecoderLayer: one block of the residual stream.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "awq/checkpoint/weights.h"
#include "awq/nn/attention.h"
#include "awq/nn/latent_attention.h"
#include "awq/nn/mlp.h"
#include "awq/nn/moe.h"
#include "awq/nn/norm.h"

namespace awq {

// Those that the kind of residual has; see Residual.
struct LayerNorms {
  Norm attn;
  std::optional<Norm> ffn, attn_post, ffn_post;
};

class DecoderLayer {
 public:
  using AnyAttention = std::variant<Attention, LatentAttention>;
  using AnyFfn = std::variant<Mlp, Moe>;

  DecoderLayer(const LayerSpec& spec, LayerNorms norms, AnyAttention attention, AnyFfn ffn)
      : residual_(spec.residual),
        scale_(static_cast<float>(spec.residual_scale)),
        norms_(std::move(norms)),
        attention_(std::move(attention)),
        ffn_(std::move(ffn)) {}

  // residual [T, D] F32, in place.
  void Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
               const TensorView& residual) const;
  // The same, but the last sum may be left to the next layer. Where `before` is not null, x [T, D]
  // of act is on entry what that layer has yet to add (AddFfn); the answer is this layer where x is
  // that on return, or null.
  const DecoderLayer* Continue(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                               const TensorView& residual, const TensorView& x,
                               const DecoderLayer* before) const;

  // Step by step. x [T, D] of act: what the first linears of a part read.
  void AttentionInput(ExecContext& ctx, const TensorView& residual, const TensorView& x) const;
  void FfnInput(ExecContext& ctx, const TensorView& residual, const TensorView& x) const;
  // y [T, D] = the attention of x [T, D]; all of it but the output projection: mixed [T, H·d].
  void Attend(ExecContext& ctx, const Batch& batch, const PagedKv& cache, const TensorView& x,
              const TensorView& y) const;
  void Mix(ExecContext& ctx, const Batch& batch, const PagedKv& cache, const TensorView& x,
           const TensorView& mixed) const;
  // y [T, D] = the feed-forward part of x [T, D].
  void Feed(ExecContext& ctx, const TensorView& x, const TensorView& y) const;
  // Adds what a part gave, y [T, D] of act, which changes. In a parallel block both inputs are
  // taken before either sum.
  void AddAttention(ExecContext& ctx, const TensorView& residual, const TensorView& y) const;
  void AddFfn(ExecContext& ctx, const TensorView& residual, const TensorView& y) const;

  const LayerNorms& norms() const { return norms_; }
  const AnyAttention& attention() const { return attention_; }
  const AnyFfn& ffn() const { return ffn_; }

 private:
  // What is done to a part's output before it is added.
  void Finish(ExecContext& ctx, const std::optional<Norm>& post, const TensorView& y) const;
  // Adds a part's output x to residual; x becomes `next` of the sum.
  void AddAndNorm(ExecContext& ctx, const std::optional<Norm>& post, const Norm& next,
                  const TensorView& residual, const TensorView& x) const;

  Residual residual_;
  float scale_;
  LayerNorms norms_;
  AnyAttention attention_;
  AnyFfn ffn_;
};

// Parts whose linears `params` lacks must not be run.
DecoderLayer MakeDecoderLayer(Backend& backend, const ModelSpec& model, int64_t layer,
                              const LayerParams& params);

}  // namespace awq
