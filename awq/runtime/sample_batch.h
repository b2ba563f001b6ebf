// SampleBatch: how the rows of a step are drawn, as one piece of memory that goes to the device.
#pragma once

#include <cstdint>
#include <span>

#include "awq/ops/args.h"
#include "awq/ops/sample_row.h"

namespace awq {

class SampleBatch {
 public:
  // For `rows` rows with at most `seen` seen tokens each.
  SampleBatch(int64_t rows, int64_t seen) : rows_(rows), seen_(seen) {}

  bool Fits(std::span<const SampleRow> rows) const;
  // Words of 32 bits.
  int64_t size() const { return rows_ * (kFields + 2 * seen_); }
  // rows, which fit, to words [size()].
  void Pack(std::span<const SampleRow> rows, std::span<int32_t> words) const;
  // Of a dense I32 view of that size.
  SampleArgs Views(const TensorView& words) const;

 private:
  static constexpr int64_t kFields = 7;

  int64_t rows_;
  int64_t seen_;
};

}  // namespace awq
