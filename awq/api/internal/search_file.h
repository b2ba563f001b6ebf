// SearchFile: internal to api; search.json of a folder: sets, and the options and inputs that they
// hold for.
#pragma once

#include <filesystem>
#include <vector>

#include "awq/base/json.h"
#include "awq/quant/budget.h"

namespace awq {

bool HasSearch(const std::filesystem::path& folder);
void SaveSearch(const std::filesystem::path& folder, const RawJson& identity,
                const std::vector<BudgetSet>& sets);
// Empty when the folder has none. Throws kInvalidArgument when it was made for another model, text
// or format, kCorrupt.
std::vector<BudgetSet> LoadSearch(const std::filesystem::path& folder, const RawJson& identity);

}  // namespace awq
