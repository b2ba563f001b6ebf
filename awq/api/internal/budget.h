// Budget: internal to api; the formats that fit one, as measured now or before.
#pragma once

#include <filesystem>

#include "awq/api/internal/choose_formats.h"
#include "awq/api/internal/subject.h"
#include "awq/base/json.h"
#include "awq/ops/backend.h"

namespace awq {

// Streams go to a folder below `work`. input: of IdentifyInput, where a folder of measurements is
// to be reused. The curve is in the report.
FormatChoice ChooseWithinBudget(const QuantizeOptions& options, const Subject& subject,
                                const RawJson& input, Backend& backend,
                                const std::filesystem::path& work, RunLog& log);

// What the passport has measured, beside the budget.
void CompareWithBudget(const QuantizeOptions& options, const FormatChoice& choice, RunLog& log);

}  // namespace awq
