// SensitivitySize: internal to api; what MeasureSensitivity() runs on, and what it costs.
#pragma once

#include <cstdint>
#include <vector>

#include "awq/checkpoint/weights.h"
#include "awq/quant/activations.h"
#include "awq/quant/plan.h"

namespace awq {

inline constexpr int64_t kSearchThirds = 3;
inline constexpr int64_t kLogitRows = 64;  // that are compared at a time

// Of the calibration: what errors are measured on, and what divergence is.
std::vector<TokenBlock> ErrorBlocks(const std::vector<TokenBlock>& blocks);
std::vector<TokenBlock> DivergenceBlocks(const std::vector<TokenBlock>& blocks);

struct SensitivityCost {
  double seconds = 0;
  int64_t memory = 0;  // bytes, beside the process
  int64_t disk = 0;    // of streams, until the search is done
};
// With so many formats that round.
SensitivityCost CostOfSensitivity(const WeightSource& source, int64_t formats,
                                  const std::vector<TokenBlock>& blocks, const MachineSpeed& speed);

}  // namespace awq
