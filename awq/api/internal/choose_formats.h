// ChooseFormats: internal to api; the formats that a budget buys.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "awq/api/internal/sensitivity.h"
#include "awq/api/quantize.h"
#include "awq/model/roles.h"
#include "awq/pack/format.h"

namespace awq {

struct FormatChoice {
  std::map<std::pair<int64_t, Role>, QuantScheme> schemes;  // by layer and site
  std::vector<SchemeGroup> groups;                          // as the format writes them
  std::vector<std::string> kept;                            // modules that stay in 16 bits
  std::vector<TradeOffPoint> curve;
  double predicted_rtn = 0;  // divergence of the chosen point by plain rounding
};

// What the format can mix: for awq_gemm one 4-bit scheme and 16 bits; for compressed-tensors 4 bits
// in groups of 128, 64 and 32, none larger than the options' group, 8 bits, 16 bits.
std::vector<QuantScheme> SchemesOf(const QuantizeOptions& options, const PackFormat& format);

// Throws kInvalidArgument when nothing lies within the budget.
FormatChoice ChooseFormats(const QuantizeOptions& options, const WeightSource& source,
                           std::vector<BudgetSet> sets);

// What the method makes of plain rounding's divergence: as measured by an earlier run with the same
// `reuse` folder, else as measured on lab-88m (docs/quality.md).
double MethodFactor(const QuantizeOptions& options);
void RecordMethodFactor(const QuantizeOptions& options, double factor);

}  // namespace awq
