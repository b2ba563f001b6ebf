// The clip search of AWQ: per row and group, the range whose rounding hurts the output least.
#pragma once

#include "awq/base/threads.h"
#include "awq/quant/grid.h"
#include "awq/quant/moments.h"

namespace awq {

// Whether AWQ clips this linear; queries and keys are left alone, as their errors multiply in
// softmax.
bool ClipsRole(Role role);

// Clamps w [N, K] f32 in place to ±m per group; m = max |w| · (1 - j/20), j = 0…9, with the
// smallest δ·H·δᵀ, δ the group's error and H the group's diagonal block of gram. Returns the share
// of groups that were clamped, 0…1.
double ClipWeights(Backend& backend, ThreadPool& pool, const GridRule& rule, const TensorView& w,
                   const TensorView& gram);

}  // namespace awq
