#include "awq/runtime/sample_batch.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace awq {

bool SampleBatch::Fits(std::span<const SampleRow> rows) const {
  return static_cast<int64_t>(rows.size()) == rows_ &&
         std::all_of(rows.begin(), rows.end(), [&](const SampleRow& row) {
           return static_cast<int64_t>(row.seen.size()) <= seen_;
         });
}

void SampleBatch::Pack(std::span<const SampleRow> rows, std::span<int32_t> words) const {
  size_t at = 0;
  const auto column = [&](const auto& value) {
    for (const SampleRow& row : rows) words[at++] = std::bit_cast<int32_t>(value(row));
  };
  // Pairs of words first: they are read at once.
  for (const SampleRow& row : rows) {
    words[at++] = static_cast<int32_t>(row.random);
    words[at++] = static_cast<int32_t>(row.random >> 32);
  }
  column([](const SampleRow& row) { return row.temperature; });
  column([](const SampleRow& row) {
    constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
    return static_cast<int32_t>(std::min(row.top_k, kMost));
  });
  column([](const SampleRow& row) { return row.top_p; });
  column([](const SampleRow& row) { return row.most_distance; });
  column([](const SampleRow& row) { return row.repetition; });
  const auto width = static_cast<size_t>(seen_);
  const auto table = [&](const auto& values, int32_t rest) {
    for (const SampleRow& row : rows) {
      const auto row_values = values(row);
      for (size_t i = 0; i < width; ++i) {
        words[at++] = i < row_values.size() ? std::bit_cast<int32_t>(row_values[i]) : rest;
      }
    }
  };
  table([](const SampleRow& row) { return row.seen; }, -1);
  table([](const SampleRow& row) { return row.subtract; }, 0);
}

SampleArgs SampleBatch::Views(const TensorView& words) const {
  SampleArgs out;
  int64_t at = 0;
  const auto part = [&](DType type, const Shape& shape) {
    const TensorView view(words.As<int32_t>() + at, type, shape, words.device);
    at += shape.NumElements();
    return view;
  };
  out.random = part(DType::kI32, {rows_, 2});
  out.temperature = part(DType::kF32, {rows_});
  out.top_k = part(DType::kI32, {rows_});
  out.top_p = part(DType::kF32, {rows_});
  out.most_distance = part(DType::kF32, {rows_});
  out.repetition = part(DType::kF32, {rows_});
  if (seen_ == 0) return out;
  out.seen = part(DType::kI32, {rows_, seen_});
  out.subtract = part(DType::kF32, {rows_, seen_});
  return out;
}

}  // namespace awq
