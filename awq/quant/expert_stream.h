// ExpertStream: the routed feed-forward part of a layer over a residual stream, with one expert's
// weights prepared at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "awq/nn/decoder_layer.h"
#include "awq/quant/activations.h"
#include "awq/quant/kept_rows.h"

namespace awq {

class ExpertStream {
 public:
  // `rest` is the layer without its experts, whose weights are in `params`. What they give is held
  // in `kept`, for as many pieces at a time as its limit has room for, one at least; it is empty
  // before and afterwards.
  ExpertStream(Backend& backend, const ModelSpec& model, int64_t layer, const LayerParams& params,
               const DecoderLayer& rest, KeptRows& kept);

  // The stream behind the attention becomes the layer's output, to the bit as DecoderLayer computes
  // it. In a parallel block the attention's output is the store's next state.
  void Advance(ActivationStore& store, const std::function<void()>& poll);

 private:
  using Pieces = std::vector<ActivationStore::Piece>;
  // Where rows of a piece went: pairs of expert e are pairs[starts[e] … starts[e + 1]).
  std::vector<HostRouting> Route(const ActivationStore& store, const Pieces& pieces);
  void RunExpert(int64_t expert, const ActivationStore& store, const Pieces& pieces,
                 const std::vector<HostRouting>& routed);
  void Sum(ActivationStore& store, const Pieces& pieces, const std::vector<HostRouting>& routed);
  // What the experts read of the piece; scratch memory.
  TensorView Input(const ActivationStore& store, const ActivationStore::Piece& piece,
                   const TensorView& residual);

  Backend& backend_;
  const ModelSpec& model_;
  const LayerSpec& spec_;
  const MoeSpec& moe_;
  int64_t layer_;
  const LayerParams& params_;
  const DecoderLayer& rest_;
  KeptRows& kept_;
  Workspace scratch_;
  ExecContext ctx_;
};

}  // namespace awq
