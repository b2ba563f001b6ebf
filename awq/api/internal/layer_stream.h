// LayerStream: internal to api; a model run over windows of tokens one layer at a time, so that no
// more than one layer of it is ever held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "awq/checkpoint/weights.h"
#include "awq/nn/causal_lm.h"
#include "awq/quant/block_pieces.h"

namespace awq {

// Embedding, final norm and head: the model without its layers.
std::shared_ptr<const CausalLm> LoadEnds(Backend& backend, const WeightSource& source);
// Whether two checkpoints agree in them, byte for byte.
bool HaveSameEnds(const WeightSource& a, const WeightSource& b);

class LayerStream {
 public:
  // Embeds the windows.
  LayerStream(Backend& backend, const ModelSpec& spec, std::shared_ptr<const CausalLm> ends,
              std::span<const TokenBlock> windows);

  // The tap, if there is one, sees every linear's input.
  void Advance(int64_t layer, const LayerParams& params, const std::function<void()>& poll,
               Tap* tap = nullptr);
  // Logits of rows [first, first + count), count · V values, on the host.
  void Logits(int64_t first, int64_t count, std::vector<float>& logits);
  // The residual stream [T, D] of those rows on the host.
  void Rows(int64_t first, int64_t count, std::vector<float>& rows) const;
  int64_t num_tokens() const { return rows_.shape()[0]; }

 private:
  Backend& backend_;
  const ModelSpec& spec_;
  std::shared_ptr<const CausalLm> ends_;
  std::span<const TokenBlock> windows_;
  std::vector<BlockPiece> pieces_;
  int64_t pages_ = 0;  // of the largest piece
  Workspace scratch_;
  Tensor rows_;  // F32 [T, D], on the device
};

}  // namespace awq
