// BatchBuilder: assembles the host arrays of a Batch and puts them on the device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "awq/nn/kv_pages.h"
#include "awq/ops/args.h"
#include "awq/ops/backend.h"

namespace awq {

class BatchBuilder {
 public:
  // The next sequence: its new tokens, how many tokens the cache holds already, and its pages,
  // enough for both.
  void Add(std::span<const int32_t> tokens, int64_t cached, std::span<const int32_t> pages);
  // The batch on the device; valid as long as this object lives and no sequence is added.
  Batch Build(Backend& backend);
  int64_t num_tokens() const { return static_cast<int64_t>(tokens_.size()); }

 private:
  std::vector<int32_t> tokens_, positions_, seq_start_{0}, kv_len_, block_table_;
  std::vector<std::vector<int32_t>> pages_;
  int64_t max_query_ = 0;
  std::vector<Tensor> device_;
};

// Sequences that start empty and stand in consecutive pages from page 0 on: calibration,
// evaluation.
Batch BuildFreshBatch(BatchBuilder& builder, Backend& backend,
                      std::span<const std::vector<int32_t>> sequences);

}  // namespace awq
