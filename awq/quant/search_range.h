// The range search: per row and group, the ends of the range whose rounding hurts the output least.
#pragma once

#include "awq/quant/rounding.h"

namespace awq {

struct RangeGrids {
  Tensor scales;       // F32 [N, G], values of the type in which they will be stored
  Tensor zeros;        // F32 [N, G]
  double clipped = 0;  // share of groups whose range is smaller than that of their weights, 0…1
};

// The grids of w [N, K] for ranges [lo · a, hi · b], 1 ≥ a, b: the ends are searched in turn for
// the smallest δ·H·δᵀ, δ the group's rounding error and H the group's diagonal block of gram.
// Symmetric grids have one end. Without search: the whole range.
RangeGrids SearchRanges(Backend& backend, ThreadPool& pool, const GridRule& rule,
                        const TensorView& w, const TensorView& gram, bool search);

}  // namespace awq
