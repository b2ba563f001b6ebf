// DecodeStep: one token of each of a fixed number of sequences, on memory that stays where it is,
// so that the device can record the step once and repeat it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "awq/nn/causal_lm.h"
#include "awq/runtime/kv_cache.h"
#include "awq/runtime/sample_batch.h"

namespace awq {

class DecodeStep {
 public:
  // For `sequences` sequences of at most `blocks` pages each. seen: tokens are drawn, with room for
  // so many seen ones of each sequence; nothing: the most likely ones are taken.
  DecodeStep(Backend& backend, const CausalLm& model, KvCache& cache, DType act, int64_t sequences,
             int64_t blocks, std::optional<int64_t> seen = {});

  struct Row {
    int32_t token;
    int64_t cached;                  // tokens before it
    std::span<const int32_t> pages;  // enough for it, too
  };
  // samples: one a row, or none where the most likely tokens are taken.
  bool Fits(std::span<const Row> rows, std::span<const SampleRow> samples) const;
  // Forward pass of rows, which fit; asynchronous.
  void Run(std::span<const Row> rows, std::span<const SampleRow> samples = {});
  // Whether the device repeats a recording.
  bool recorded() const { return recording_ != nullptr; }
  // Of the last run, on the device: F32 [sequences, V], as Backend::Sample left them, and the next
  // tokens, I32 [sequences]; -1 where logits are no numbers.
  const TensorView& logits() const { return logits_.view(); }
  const TensorView& tokens() const { return tokens_.view(); }

 private:
  void Forward();

  Backend& backend_;
  const CausalLm& model_;
  KvCache& cache_;
  DType act_;
  int64_t blocks_;
  std::optional<SampleBatch> sampling_;
  Workspace scratch_;
  // Everything of sampling and of a Batch in one piece, so that one copy brings it to the device.
  std::vector<int32_t> host_;
  Tensor device_;
  std::vector<int32_t> host_seq_start_;
  std::vector<int32_t> host_kv_len_;
  Batch batch_;
  SampleArgs sample_args_;
  Tensor hidden_, logits_, tokens_;
  bool recorded_ = false;
  std::unique_ptr<Recording> recording_;
};

}  // namespace awq
