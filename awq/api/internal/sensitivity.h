// Sensitivity: internal to api; what each set of linears costs the model in each format, before
// anything is chosen.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "awq/base/threads.h"
#include "awq/checkpoint/weights.h"
#include "awq/ops/backend.h"
#include "awq/quant/activations.h"
#include "awq/quant/budget.h"

namespace awq {

struct SensitivityJob {
  const WeightSource& source;
  Backend& backend;
  ThreadPool& pool;
  std::vector<QuantScheme> schemes;  // the first is the base; of 16 bits: not quantized
  DType scale_type;                  // of the format
  const std::vector<TokenBlock>& blocks;
  std::filesystem::path work;  // made, and removed afterwards
  std::function<void(double done)> progress;
  std::function<void()> poll;  // throws kCancelled
};

// A mean of relative output errors on calibration text by plain rounding, turned into divergence by
// a few real measurements: the sets of one site in one third of the layers, all in the base format,
// are measured together, and share what was found in proportion to their errors; in other formats
// they are assumed to cost as much less as their errors are less. Groups add up to what all sets
// together were measured to cost. One pass over the model, layer by layer.
std::vector<BudgetSet> MeasureSensitivity(const SensitivityJob& job);

}  // namespace awq
