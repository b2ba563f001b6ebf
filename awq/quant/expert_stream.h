// ExpertStream: the routed feed-forward part of a layer over a residual stream, with one expert's
// weights prepared at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "awq/nn/decoder_layer.h"
#include "awq/quant/activations.h"
#include "awq/quant/kept_rows.h"

namespace awq {

// The weights of one routed expert; asked for when its turn comes and dropped afterwards.
using ExpertWeights = std::function<LayerParams(int64_t expert)>;

class ExpertStream {
 public:
  // The store holds the stream behind the attention; in a parallel block that before it, and the
  // attention's output is its next state. `rest` is the layer without its experts, whose weights
  // `experts` gives. What they give is held in `kept`, for as many pieces at a time as its limit
  // has room for, one at least; it is empty before and afterwards.
  ExpertStream(Backend& backend, const ModelSpec& model, int64_t layer, ExpertWeights experts,
               const DecoderLayer& rest, ActivationStore& store, KeptRows& kept);

  // Shows what the expert's gate and up, and its down, read to the tap; the store stays as it is.
  void Observe(int64_t expert, Tap& tap, const std::function<void()>& poll);
  // The stream becomes the layer's output, to the bit as DecoderLayer computes it.
  void Advance(const std::function<void()>& poll);

 private:
  // Notes where rows of each piece go.
  void Route();
  std::span<const int32_t> PairsOf(size_t piece, int64_t expert) const;
  // Calls use(x) with what the expert reads of each of the pieces [begin, end), scratch memory, if
  // it reads any.
  void EachInput(ExecContext& ctx, int64_t expert, size_t begin, size_t end,
                 const std::function<void(const TensorView&)>& use);
  void RunExpert(ExecContext& ctx, int64_t expert, size_t begin, size_t end);
  void Sum(ExecContext& ctx, size_t begin, size_t end);
  // What all experts read of the piece; scratch memory.
  TensorView Input(ExecContext& ctx, const ActivationStore::Piece& piece,
                   const TensorView& residual);

  Backend& backend_;
  const ModelSpec& model_;
  const LayerSpec& spec_;
  const MoeSpec& moe_;
  int64_t layer_;
  ExpertWeights experts_;
  const DecoderLayer& rest_;
  ActivationStore& store_;
  KeptRows& kept_;
  std::vector<ActivationStore::Piece> pieces_;
  std::vector<HostRouting> routed_;  // by piece; empty before Route()
};

}  // namespace awq
