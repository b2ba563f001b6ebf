// How many tokens the KV cache is made for.
#pragma once

#include <cstdint>

#include "awq/base/dtype.h"
#include "awq/model/spec.h"

namespace awq {

// Of the KV cache in all layers, a token.
int64_t KvBytesPerToken(const ModelSpec& model, DType type);

struct KvBudget {
  int64_t context = 0;    // tokens of one sequence
  int64_t sequences = 1;  // that may fill it side by side
  int64_t memory = 0;     // bytes; 0: what context and sequences need, as far as it is free
  int64_t free = 0;       // bytes; 0: unknown
};

// Whole pages. Throws kInvalidArgument for a budget of less than a page, kOutOfMemory when more is
// asked for than is free or less than a page is free, with the numbers.
int64_t KvTokens(const ModelSpec& model, DType type, const KvBudget& budget);

}  // namespace awq
