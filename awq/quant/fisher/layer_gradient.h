// LayerGradient: the gradient of a loss through one decoder layer, which it computes again.
#pragma once

#include <memory>
#include <optional>

#include "awq/nn/decoder_layer.h"
#include "awq/nn/kv_pages.h"
#include "awq/quant/fisher/attention_gradient.h"
#include "awq/quant/fisher/mlp_gradient.h"

namespace awq {

// Latent attention and routed experts count as constants: the gradient passes them by in the
// residual stream, and of their linears the sink sees o alone. Of experts it sees nothing, but
// under the role kExpertDown, without an expert, the gradient of what they give together: an
// expert's down has that of its tokens times their routing weights; kSharedDown sees the same where
// no gate multiplies the shared expert.
class LayerGradient {
 public:
  // Shares the memory of params' F32 tensors. Throws kInternal for quantized weights.
  LayerGradient(Backend& backend, const ModelSpec& model, int64_t layer, const LayerParams& params);

  // x [T, D]: the stream that the layer reads, blocks as BuildFreshBatch makes them. grad_out
  // [T, D] with respect to the stream behind it, grad_in to x; they may be the same memory. The
  // sink sees every linear once.
  void Backward(const GradientContext& ctx, const Batch& batch, const TensorView& x,
                const TensorView& grad_out, const TensorView& grad_in);

 private:
  struct Attended {
    AttentionGradient::Inner inner;
    TensorView output;  // [T, D]; empty where nobody reads it
  };
  struct Fed {
    MlpGradient::Inner inner;
    TensorView output;
  };
  Attended Attend(const GradientContext& ctx, const Batch& batch, const TensorView& x, bool output);
  Fed Feed(const GradientContext& ctx, const TensorView& x, bool output) const;
  // grad, of what is added to the stream, becomes that of what the part reads.
  void AttendBackward(const GradientContext& ctx, const Batch& batch, const Attended& attended,
                      const TensorView& grad) const;
  void FeedBackward(const GradientContext& ctx, const Fed& fed, const TensorView& grad) const;
  void Sequential(const GradientContext& ctx, const Batch& batch, const TensorView& x,
                  const TensorView& grad);
  void Parallel(const GradientContext& ctx, const Batch& batch, const TensorView& x,
                const TensorView& grad);
  void PostNorm(const GradientContext& ctx, const Batch& batch, const TensorView& x,
                const TensorView& grad);
  // stream = x + what a part gives.
  TensorView Sum(const GradientContext& ctx, const TensorView& x,
                 const std::optional<NormGradient>& post, const TensorView& output) const;
  TensorView Scaled(const GradientContext& ctx, const TensorView& grad) const;

  Backend& backend_;
  const ModelSpec& model_;
  int64_t layer_;
  const LayerSpec& spec_;
  NormGradient attn_norm_;
  std::optional<NormGradient> ffn_norm_, attn_post_, ffn_post_;
  std::optional<AttentionGradient> attention_;  // none: latent
  std::optional<MlpGradient> mlp_;              // none: routed
  std::optional<DecoderLayer> constant_;        // those parts, where their outputs are needed
  std::unique_ptr<KvPages> pages_;              // of latent attention
};

}  // namespace awq
