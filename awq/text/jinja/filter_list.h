// The filters by name, one list a file.
#pragma once

#include <span>
#include <string_view>

#include "awq/text/jinja/builtins.h"

namespace awq::jinja {

struct FilterEntry {
  std::string_view name;
  FilterFunction filter;
};

std::span<const FilterEntry> TextFilters();
std::span<const FilterEntry> NumberFilters();
std::span<const FilterEntry> SequenceFilters();

}  // namespace awq::jinja
