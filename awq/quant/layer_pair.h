// LayerPair: one decoder layer run twice over the calibration blocks: with the original weights on
// what the full-precision model computes, and with the weights as far as they are quantized on what
// the quantized layers before it really produce.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "awq/quant/expert_pair.h"
#include "awq/quant/kept_rows.h"
#include "awq/quant/layer_runner.h"
#include "awq/quant/moments.h"

namespace awq {

class LayerPair {
 public:
  // The stores hold the layer's inputs: of the full-precision model and of the quantized one. What
  // o and down read is kept between Observe and Advance as far as `kept` has room; the rest is
  // computed again. moment_columns: 0, or the columns of the blocks that moments are cut into.
  LayerPair(Backend& backend, const ModelSpec& model, int64_t layer, ActivationStore& full,
            ActivationStore& quantized, KeptRows& kept, int64_t moment_columns);

  // The moments, drift included, of what the linears of `site` read in the quantized model. Those
  // of the attention before, those of the feed-forward part after the attention has been advanced.
  // A site that ends its part plainly (see EndsPlainly) advances the full-precision stream.
  SiteMoments Observe(LinearId site, const LayerParams& original, const LayerParams& current,
                      const std::function<void()>& poll);
  // A scale has been applied to the producer of the site observed last: what the quantized model
  // feeds it is divided by s [K].
  void Rescale(std::span<const float> s);
  // Adds the output of the attention (site o) or of the feed-forward part (site down, also of
  // experts), observed last, to the quantized stream, and to the other if that has not been
  // advanced. In a parallel block it reads the stream before either.
  void Advance(LinearId site, const LayerParams& original, const LayerParams& current,
               const std::function<void()>& poll);

 private:
  // Whether what this linear gives is all that is added to the residual stream, as it is.
  bool EndsPlainly(LinearId site) const;
  // The parts of the layer that compute what the site reads.
  DecoderLayer InputParts(LinearId site, const LayerParams& params) const;
  // What the site reads in one stream [rows, K].
  void SiteInput(LinearId site, ExecContext& ctx, const DecoderLayer& layer, const Batch& batch,
                 const TensorView& residual, const TensorView& x) const;
  // The input of a linear deep within the attention, caught on its way.
  void Catch(LinearId site, ExecContext& ctx, const DecoderLayer& layer, const Batch& batch,
             const TensorView& norm, const TensorView& x) const;
  int64_t SiteSize(LinearId site) const;
  void AdvanceExperts(const LayerParams& original, const LayerParams& current,
                      const std::function<void()>& poll);

  Backend& backend_;
  const ModelSpec& model_;
  int64_t layer_;
  ActivationStore& full_;
  ActivationStore& quantized_;
  KeptRows& kept_;
  int64_t moment_columns_;
  std::unique_ptr<KvPages> pages_;
  std::unique_ptr<ExpertPair> experts_;
  std::vector<float> inverse_;  // 1/s of the scales applied since Observe; empty: none
};

}  // namespace awq
