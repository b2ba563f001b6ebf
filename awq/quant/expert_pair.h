// ExpertPair: what the experts of one layer read in the full-precision and in the quantized model,
// one expert at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "awq/nn/decoder_layer.h"
#include "awq/quant/activations.h"
#include "awq/quant/moments.h"

namespace awq {

class ExpertPair {
 public:
  // The stores hold the residual streams behind the attention. Tokens go where the norm and the
  // router of `current` send those of the quantized model, in both streams. moment_columns: as in
  // LayerPair.
  ExpertPair(Backend& backend, const ModelSpec& model, int64_t layer, ActivationStore& full,
             ActivationStore& quantized, int64_t moment_columns, const LayerParams& current,
             const std::function<void()>& poll);

  // The moments, drift included, of what an expert's gate and up, or its down, read; the
  // weight-only ones below kFewTokens. The norm has been rescaled if ever it will be.
  SiteMoments Observe(LinearId site, const LayerParams& original, const LayerParams& current,
                      const std::function<void()>& poll) const;

 private:
  // Which of the piece's rows go to the expert: a span of its tokens.
  std::span<const int32_t> TokensIn(const ActivationStore::Piece& piece, int64_t expert) const;

  Backend& backend_;
  const ModelSpec& model_;
  const LayerSpec& spec_;
  int64_t layer_;
  ActivationStore& full_;
  ActivationStore& quantized_;
  int64_t moment_columns_;
  std::vector<std::vector<int32_t>> tokens_;  // of each expert: rows of the streams, rising
};

}  // namespace awq
