// The linear from the last hidden state to the logits.
#pragma once

#include "awq/checkpoint/weights.h"
#include "awq/nn/linear.h"
#include "awq/ops/backend.h"

namespace awq {

// With its weight as stored (16 bits), or rounded to 8 or 4 in groups of 128 inputs: 8 bits
// symmetric, 4 with zero points. Throws kInvalidArgument for other bits.
Linear MakeHead(Backend& backend, const WeightSource& source, int bits);

}  // namespace awq
