// What the options of a quantization name: the checkpoint, the format, the method and its blocks.
#pragma once

#include <memory>
#include <vector>

#include "awq/api/internal/run_log.h"
#include "awq/api/quantize.h"
#include "awq/checkpoint/checkpoint.h"
#include "awq/checkpoint/weights.h"
#include "awq/pack/format.h"
#include "awq/quant/calibration/calibration.h"
#include "awq/quant/method.h"

namespace awq {

struct Subject {
  // Throws kInvalidArgument when the checkpoint is quantized already.
  explicit Subject(const QuantizeOptions& options);

  // Of the calibration, if anything needs it; they are counted in the report.
  void LoadBlocks(const QuantizeOptions& options, RunLog& log);
  // Of each layer.
  std::vector<int64_t> NumLinears() const;
  int64_t NumBytes() const;  // of the checkpoint's tensors

  const PackFormat& format;
  std::shared_ptr<const Checkpoint> checkpoint;
  WeightSource source;
  MethodOptions method_options;
  std::unique_ptr<QuantMethod> method;
  std::vector<TokenBlock> blocks = {};
};

}  // namespace awq
