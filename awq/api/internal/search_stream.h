// SearchStream: internal to api; a residual stream in files on its way through the layers of a
// model, with one routed expert in memory at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "awq/checkpoint/weights.h"
#include "awq/nn/causal_lm.h"
#include "awq/quant/activations.h"
#include "awq/quant/expert_stream.h"
#include "awq/quant/kept_rows.h"

namespace awq {

// What streams of one search share.
struct SearchContext {
  Backend& backend;
  const WeightSource& source;
  std::filesystem::path folder;
  std::function<void()> poll;
  KeptRows& kept;
};

class SearchStream {
 public:
  // Embeds the blocks.
  SearchStream(const SearchContext& context, std::span<const TokenBlock> blocks,
               const std::string& name);
  // Goes on from there on its own.
  SearchStream(const SearchStream& from, const std::string& name);

  // Of a layer with routed experts `params` is all else, and `experts` gives them.
  void Advance(int64_t layer, const LayerParams& params, const ExpertWeights& experts);
  // Through the source's layer. The tap sees all inputs: of routed experts apart, one after the
  // other; seen(expert) tells that those are complete, seen(-1) all others.
  void Observe(int64_t layer, const LayerParams& params, Tap& tap,
               const std::function<void(int64_t expert)>& seen);
  // Logits of rows [first, first + count), count · V values; `ends` as LoadEnds() makes it.
  void Logits(const CausalLm& ends, int64_t first, int64_t count, std::vector<float>& logits) const;
  int64_t num_tokens() const { return store_->num_tokens(); }

 private:
  const SearchContext& context_;
  std::span<const TokenBlock> blocks_;
  std::unique_ptr<ActivationStore> store_;
};

}  // namespace awq
