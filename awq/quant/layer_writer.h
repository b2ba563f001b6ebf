// LayerWriter: the tensors of finished layers, and then everything else, into the new checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "awq/checkpoint/shard_writer.h"
#include "awq/checkpoint/weights.h"
#include "awq/quant/method.h"
#include "awq/quant/pipeline.h"

namespace awq {

class LayerWriter {
 public:
  explicit LayerWriter(const PipelineJob& job) : job_(job) {}

  // Vectors and linears of a layer: those that are quantized by the format, others in the type in
  // which the checkpoint stores them. `linear_done` hears of each that is quantized.
  void Write(int64_t layer, const LayerParams& params, std::map<LinearId, QuantizedLinear>& done,
             const std::function<void(const LinearOutcome&)>& linear_done);
  // An earlier run has written that layer.
  void Skip(int64_t layer);
  // Everything that belongs to no layer, as it is.
  void CopyRest();

 private:
  void WriteModule(int64_t layer, const std::vector<LinearShape>& parts, const LayerParams& params,
                   std::map<LinearId, QuantizedLinear>& done,
                   const std::function<void(const LinearOutcome&)>& linear_done);
  int64_t WriteWeight(int64_t layer, const std::string& module,
                      const std::vector<LinearShape>& parts, const LayerParams& params,
                      std::map<LinearId, QuantizedLinear>& done);
  void WriteLike(const std::string& name, const Tensor& values);

  const PipelineJob& job_;
  std::set<std::string> written_;  // names of the source that are done
};

}  // namespace awq
