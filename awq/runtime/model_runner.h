// ModelRunner: one forward pass over tokens of several sequences, and what follows them.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <vector>

#include "awq/nn/causal_lm.h"
#include "awq/runtime/decode_step.h"
#include "awq/runtime/kv_cache.h"
#include "awq/runtime/sampler.h"

namespace awq {

// The next tokens of one sequence.
struct StepShare {
  std::span<const int32_t> tokens;
  int64_t cached;                  // tokens before them
  std::span<const int32_t> pages;  // enough for them, too
  Sampler* sampler;                // draws what follows them; null: nothing is wanted
};

// Not thread-safe.
class ModelRunner {
 public:
  // records: steps of one token a sequence may be repeated from a recording.
  ModelRunner(Backend& backend, const CausalLm& model, KvCache& cache, DType act, bool records)
      : backend_(backend),
        model_(model),
        cache_(cache),
        act_(act),
        records_(records),
        scratch_(backend) {}

  // One token for each share that wants one, in their order; not yet accepted by the samplers.
  // Throws kInternal (naming a logit that is no number), kDevice, kOutOfMemory.
  std::vector<int32_t> Run(std::span<const StepShare> shares);

  // A step on memory of its own, where every share is a token and wants one, in two parts; -1 where
  // logits are no numbers.
  bool CanBegin(std::span<const StepShare> shares) const;
  void Begin(std::span<const StepShare> shares);
  std::vector<int32_t> Await();
  // Throws kInternal saying what is wrong with the logits of a -1: those of the last step that has
  // begun, in which it has had no better ones.
  [[noreturn]] void Explain(int64_t row);
  // Begins the step after the last one for the same sequences, which draw without penalties, before
  // it is known what that one draws: at most one ahead of the next Await(). Where the device
  // repeats steps by itself, and they have room.
  bool CanRunOn() const;
  void RunOn(std::span<Sampler* const> samplers);

 private:
  DecodeStep& StepFor(std::span<const DecodeStep::Row> rows, std::span<const SampleRow> samples);
  // Brings drawn tokens to the host.
  std::vector<int32_t> Fetch(const TensorView& tokens, const TensorView& logits);
  [[noreturn]] void Explain(const TensorView& logits);

  Backend& backend_;
  const CausalLm& model_;
  KvCache& cache_;
  DType act_;
  bool records_;
  Workspace scratch_;
  std::list<DecodeStep> steps_;  // the one used last comes first
};

}  // namespace awq
