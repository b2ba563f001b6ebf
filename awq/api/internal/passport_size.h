// PassportSize: internal to api; what the measurement at the end of a run costs, and how many
// tokens it may take.
#pragma once

#include <cstdint>

#include "awq/checkpoint/weights.h"
#include "awq/quant/plan.h"

namespace awq {

struct PassportCost {
  double seconds = 0;        // whatever the text
  double token_seconds = 0;  // more for each of its tokens
  int64_t memory = 0;        // bytes, beside the process
};
PassportCost CostOfPassport(const WeightSource& source, const MachineSpeed& speed, int64_t tokens);

// As many as take a tenth of what `plan` takes, both at the nominal speed, within bounds. It
// depends on nothing that another machine or another run of the same options would have otherwise.
int64_t PassportTokens(const WeightSource& source, const QuantPlan& nominal);

}  // namespace awq
