// Filters: what stands after a bar.
#include "awq/text/jinja/filter_list.h"

namespace awq::jinja {

FilterFunction FindFilter(std::string_view name) {
  for (const auto& list : {TextFilters(), NumberFilters(), SequenceFilters()}) {
    for (const FilterEntry& entry : list) {
      if (entry.name == name) return entry.filter;
    }
  }
  return nullptr;
}

}  // namespace awq::jinja
