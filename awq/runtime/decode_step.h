// DecodeStep: one token of each of a fixed number of sequences, on memory that stays where it is,
// so that the device can record the step once and repeat it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "awq/nn/causal_lm.h"
#include "awq/runtime/kv_cache.h"

namespace awq {

class DecodeStep {
 public:
  // For `sequences` sequences of at most `blocks` pages each.
  DecodeStep(Backend& backend, const CausalLm& model, KvCache& cache, DType act, int64_t sequences,
             int64_t blocks);

  struct Row {
    int32_t token;
    int64_t cached;                  // tokens before it
    std::span<const int32_t> pages;  // enough for it, too
  };
  bool Fits(std::span<const Row> rows) const;
  // Forward pass of rows, which fit; asynchronous.
  void Run(std::span<const Row> rows);
  // Whether the device repeats a recording.
  bool recorded() const { return recording_ != nullptr; }
  // Of the last run, on the device: F32 [sequences, V], and where each row is largest, I32.
  const TensorView& logits() const { return logits_.view(); }
  const TensorView& best() const { return best_.view(); }

 private:
  void Forward();

  Backend& backend_;
  const CausalLm& model_;
  KvCache& cache_;
  DType act_;
  int64_t blocks_;
  Workspace scratch_;
  // Everything of a Batch in one piece, so that one copy brings it to the device.
  std::vector<int32_t> host_;
  Tensor device_;
  std::vector<int32_t> host_seq_start_;
  std::vector<int32_t> host_kv_len_;
  Batch batch_;
  Tensor hidden_, logits_, best_;
  bool recorded_ = false;
  std::unique_ptr<Recording> recording_;
};

}  // namespace awq
