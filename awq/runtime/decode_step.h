// DecodeStep: one token of each of a fixed number of sequences, on memory that stays where it is,
// so that the device can record the step once and repeat it; also for the tokens that it drew
// itself, before the host knows them.
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
  ~DecodeStep();
  DecodeStep(const DecodeStep&) = delete;
  DecodeStep& operator=(const DecodeStep&) = delete;

  struct Row {
    int32_t token;
    int64_t cached;                  // tokens before it
    std::span<const int32_t> pages;  // enough for it, too
  };
  // samples: one a row, or none where the most likely tokens are taken. Rows whose lengths are
  // uneven do not fit into a step whose first ones were not: kernels are chosen by that.
  bool Fits(std::span<const Row> rows, std::span<const SampleRow> samples) const;
  int64_t blocks() const { return blocks_; }
  // Begins a step of rows, which fit. No other may be running.
  void Run(std::span<const Row> rows, std::span<const SampleRow> samples = {});
  // Begins another one: every sequence's next token is the one that the last step drew. That one
  // may be running. Throws kInternal where pages or two running steps do not allow it.
  void RunOn(std::span<const SampleRow> samples = {});
  bool CanRunOn() const;
  // Waits for the earliest step that runs; the next tokens, -1 where logits are no numbers. Valid
  // until the next step begins.
  std::span<const int32_t> Await();
  bool running() const { return begun_ > awaited_; }
  // Whether the device repeats a recording.
  bool recorded() const { return recording_ != nullptr; }
  // Of the last step, on the device: F32 [sequences, V], as Backend::Sample left them.
  const TensorView& logits() const { return logits_.view(); }

 private:
  // The words of the next step, which go to the device in one piece: sampling, then the batch.
  std::span<int32_t> Words() const;
  void Upload(std::span<int32_t> words);
  void Begin();
  void Forward();
  bool Fits(std::span<const int32_t> lengths) const;

  // At most one step is run ahead of the one that is waited for.
  static constexpr int64_t kSlots = 2;

  Backend& backend_;
  const CausalLm& model_;
  KvCache& cache_;
  DType act_;
  int64_t blocks_;
  std::optional<SampleBatch> sampling_;
  int64_t first_;  // word of the batch
  Workspace scratch_;
  Tensor host_;    // I32 [kSlots, words]
  Tensor device_;  // I32 [words]
  std::vector<int32_t> host_seq_start_;
  std::vector<int32_t> host_kv_len_;
  bool uneven_ = false;  // HasUnevenLengths of the first rows
  Batch batch_;
  SampleArgs sample_args_;
  AdvanceArgs advance_;
  Tensor hidden_, logits_, drawn_, next_, record_;
  std::unique_ptr<Recording> recording_;
  int64_t begun_ = 0;
  int64_t awaited_ = 0;
};

}  // namespace awq
