// What ref's plain loops share: offsets of strided views, rows as floats.
#pragma once

#include <cstdint>
#include <vector>

#include "awq/ops/args.h"

namespace awq::ref {

// Element offset of row i.
inline int64_t At(const TensorView& t, int64_t i) { return i * t.strides[0]; }
inline int64_t At(const TensorView& t, int64_t i, int64_t j) {
  return i * t.strides[0] + j * t.strides[1];
}

inline std::vector<float> LoadRow(const TensorView& t, int64_t offset, int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = LoadFloat(t, offset + i);
  return out;
}

inline double Dot(const float* a, const float* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// Offset in the cache of head g of token p of sequence b.
inline int64_t CacheOffset(const Batch& batch, const PagedKv& cache, int64_t b, int64_t p,
                           int64_t g) {
  const auto* table = batch.block_table.As<const int32_t>();
  const int64_t size = cache.page_size();
  const int64_t page = table[At(batch.block_table, b) + p / size];
  return ((page * cache.kv_heads() + g) * size + p % size) * cache.keys.dim(3);
}

}  // namespace awq::ref
