// Weights of linears cut and put together by rows, on the host, dense or quantized.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "awq/checkpoint/weights.h"

namespace awq {

using LinearMembers = std::vector<const LinearWeight*>;

int64_t NumOutputs(const LinearWeight& weight);
// Whether their weights are of one kind: type, or scheme and type of scales.
bool AreAlike(const LinearMembers& members);
// The rows of alike members, one below the other; biases too, zeros for members without one, none
// if none has one.
LinearWeight MergeAlike(const LinearMembers& members);
// Those rows of a linear, biases too.
LinearWeight TakeRows(const LinearWeight& from, std::span<const int64_t> rows);

}  // namespace awq
