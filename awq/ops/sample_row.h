// One row of Backend::Sample on the host: the definition that `ref` and the sampler share.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

namespace awq {

// As SampleArgs (args.h), of one row.
struct SampleRow {
  float temperature = 1;
  int64_t top_k = 0;
  float top_p = 1;
  float most_distance = std::numeric_limits<float>::infinity();
  float repetition = 1;
  uint64_t random = 0;
  std::span<const int32_t> seen = {};
  std::span<const float> subtract = {};
};

// Applies repetition and subtract.
void PenalizeRow(const SampleRow& row, std::span<float> logits);
// The largest logit, the lowest id among equals; -1 where one is NaN or +inf or all are -inf.
int32_t ArgMaxRow(std::span<const float> logits);
// Penalizes, and draws; -1 as ArgMaxRow. Cost: one pass over V, a partial sort of the tokens that
// top-k or top-p keep.
int32_t DrawFromRow(const SampleRow& row, std::span<float> logits);

}  // namespace awq
