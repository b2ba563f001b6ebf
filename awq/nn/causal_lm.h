// CausalLm: embedding, decoder layers, final norm and head of a text model.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "awq/checkpoint/weights.h"
#include "awq/nn/context.h"
#include "awq/nn/decoder_layer.h"
#include "awq/nn/embedding.h"
#include "awq/nn/packed_decoder.h"
#include "awq/ops/args.h"

namespace awq {

class CausalLm {
 public:
  // Loads every weight onto the backend, one layer at a time; the head in 16, 8 or 4 bits.
  CausalLm(Backend& backend, const WeightSource& source, int head_bits = 16);
  // With layers from elsewhere, e.g. rescaled ones; the rest from the source.
  CausalLm(Backend& backend, const WeightSource& source,
           const std::function<LayerParams(int64_t)>& layer, int head_bits = 16);

  // hidden [T, D] F32: the residual stream behind the last layer, before the final norm. Writes the
  // batch's keys and values; caches holds one entry a layer.
  void Forward(ExecContext& ctx, const Batch& batch, std::span<const PagedKv> caches,
               const TensorView& hidden) const;
  // logits [R, V] F32 of rows of the residual stream [R, D].
  void Logits(ExecContext& ctx, const TensorView& hidden, const TensorView& logits) const;

  const ModelSpec& spec() const { return spec_; }

 private:
  ModelSpec spec_;
  Embedding embedding_;
  std::vector<DecoderLayer> layers_;
  std::unique_ptr<PackedDecoder> decoder_;  // of all of them for one token, or null
  Norm final_norm_;
  std::optional<Linear> head_projection_;  // from D to E
  Linear head_;
};

}  // namespace awq
