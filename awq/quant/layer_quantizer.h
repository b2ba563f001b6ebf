// LayerQuantizer: gathers what a method asks for of one layer, runs it, and advances the streams.
#pragma once

#include <map>

#include "awq/quant/kept_rows.h"
#include "awq/quant/pipeline.h"

namespace awq {

class LayerQuantizer {
 public:
  // The streams in front of the layer: of the full-precision model, null for a method without
  // calibration, and of the quantized one, for a method that follows it.
  LayerQuantizer(const PipelineJob& job, ActivationStore* full, ActivationStore* quantized,
                 KeptRows& kept)
      : job_(job), model_(job.source.spec()), full_(full), quantized_(quantized), kept_(kept) {}

  // `params` as LayerWeights::Stored() gives them; afterwards biases, norms and what keeps its 16
  // bits are as they will be written. What gathers moments has given its memory back when the
  // method begins, unless that replays.
  std::map<LinearId, QuantizedLinear> Run(LayerJob& work, LayerParams& params);

 private:
  std::map<LinearId, QuantizedLinear> Replaying(LayerJob& work, LayerParams& params);
  // With one routed expert in memory at a time.
  std::map<LinearId, QuantizedLinear> ByExpert(LayerJob& work, LayerParams& params);
  std::map<LinearId, QuantizedLinear> RunMethod(LayerJob& work, LayerParams& params) const;

  const PipelineJob& job_;
  const ModelSpec& model_;
  ActivationStore* full_;
  ActivationStore* quantized_;
  KeptRows& kept_;
};

}  // namespace awq
