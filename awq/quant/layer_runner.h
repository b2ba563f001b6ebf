// LayerRunner: runs one decoder layer, or a part of it, over all calibration blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "awq/nn/causal_lm.h"
#include "awq/nn/kv_pages.h"
#include "awq/quant/activations.h"

namespace awq {

// The part of a layer whose output AutoAWQ compares.
enum class LayerPart { kAttention, kMlp };

// Calibration runs in pieces of at most so many tokens (one block at least): what a layer takes
// between its linears then stays near 128 MiB. Sums are rounded piece by piece, so this depends on
// the model alone, not on the machine or a limit.
int64_t PieceTokens(const ModelSpec& model, int64_t layer);
// Pages for the largest piece of the store.
std::unique_ptr<KvPages> MakePiecePages(Backend& backend, const ModelSpec& model, int64_t layer,
                                        const ActivationStore& store);

class LayerRunner {
 public:
  // `store` holds the layer's inputs.
  LayerRunner(Backend& backend, const ModelSpec& model, int64_t layer, ActivationStore& store);
  ~LayerRunner() = default;

  // Replaces the store's content by the layer's outputs; the tap sees every linear's input.
  void Advance(const LayerParams& params, Tap* tap, const std::function<void()>& poll);
  // The same as far as routed experts, whose weights `params` may lack: the store then holds what
  // an ExpertStream begins with, and the tap has seen everything but what they read.
  void AdvanceToExperts(const LayerParams& params, Tap* tap, const std::function<void()>& poll);
  // Shows the linears' inputs to the tap and leaves the store as it is.
  void Observe(const LayerParams& params, Tap* tap, const std::function<void()>& poll);
  // For each of `variants` Σ ‖part(variant) - part(params)‖² over all tokens, on the inputs that
  // the part gets with `params`. A variant is made when its turn comes and dropped afterwards.
  std::vector<double> PartLosses(LayerPart part, const LayerParams& params, int64_t variants,
                                 const std::function<LayerParams(int64_t)>& variant,
                                 const std::function<void()>& poll);

 private:
  void Run(const LayerParams& params, Tap* tap, bool keep, const std::function<void()>& poll);

  Backend& backend_;
  const ModelSpec& model_;
  int64_t layer_;
  ActivationStore& store_;
  Workspace scratch_;
  std::unique_ptr<KvPages> pages_;
};

}  // namespace awq
