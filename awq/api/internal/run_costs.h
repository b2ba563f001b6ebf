// RunCosts: internal to api; what a quantization takes of memory, disk and time, beside its limits.
#pragma once

#include <cstdint>

#include "awq/api/internal/sensitivity_size.h"
#include "awq/api/internal/subject.h"
#include "awq/ops/backend.h"
#include "awq/quant/plan.h"

namespace awq {

// Of the search and the rounding of all layers.
PlanRequest RequestOf(const QuantizeOptions& options, const Subject& subject);
SensitivityCost CostOfSearch(const QuantizeOptions& options, const Subject& subject,
                             const MachineSpeed& speed);
// Tokens of the passport, which depend on nothing that another machine would have otherwise.
int64_t TokensOfPassport(const QuantizeOptions& options, const Subject& subject);

// Throws kInvalidArgument that names what would do.
void CheckSearchFits(const QuantizeOptions& options, int64_t memory);
// Throws kIo.
void CheckDisk(const QuantizeOptions& options, const QuantPlan& plan);
// If not, it is said.
bool PassportFits(const QuantizeOptions& options, int64_t memory, RunLog& log);
// Where the limit cuts moments into blocks.
void WarnOfBlocks(const QuantPlan& plan, RunLog& log);

// All of it; measures the machine.
QuantizePlan PlanRun(const QuantizeOptions& options, const Subject& subject, Backend& backend,
                     RunLog& log);

}  // namespace awq
