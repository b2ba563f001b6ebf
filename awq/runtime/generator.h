// Generator: runs requests over one model, all active ones together in each step.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "awq/nn/causal_lm.h"
#include "awq/runtime/decode_step.h"
#include "awq/runtime/kv_cache.h"
#include "awq/runtime/request.h"
#include "awq/runtime/sampler.h"
#include "awq/runtime/text_stream.h"

namespace awq {

struct GeneratorOptions {
  int64_t context = 0;   // tokens one sequence may have, prompt and answer
  int64_t capacity = 0;  // tokens of all sequences that the KV cache holds
  int64_t chunk =
      512;  // prompt tokens of one step: bounds its memory and the wait of other sequences
  DType act = DType::kF32;            // of activations
  std::optional<DType> kv_type = {};  // of the KV cache; that of activations by default
};

// What one step did for one sequence.
struct StepOutput {
  int64_t id = 0;
  std::string text = {};                    // newly settled
  std::optional<int32_t> token = {};        // drawn; absent while the prompt is being read
  std::optional<FinishReason> finish = {};  // set in the sequence's last output
};

// Not thread-safe. After an exception of Step() the generator is to be discarded.
class Generator {
 public:
  Generator(Backend& backend, const CausalLm& model, const Tokenizer& tokenizer,
            const GeneratorOptions& options);

  // Queues a request and returns its id. Throws kInvalidArgument: no prompt, unknown token ids,
  // parameters, more tokens than the context (with the counts); kOutOfMemory when the KV cache has
  // no room for prompt and answer beside the other sequences.
  int64_t Submit(Request request);

  // One forward pass: the next tokens of every sequence's prompt (a chunk in all), one token each
  // of those that have read theirs. One output for each sequence that it advanced. Throws kInternal
  // (logits that are no numbers), kDevice, kOutOfMemory.
  std::vector<StepOutput> Step();

  // Ends a sequence; its last output. Throws kInternal when it is not active.
  StepOutput Cancel(int64_t id);

  bool idle() const { return active_.empty(); }
  // Prompt tokens that a request found in the cache: the beginning of the sequence that ended last.
  int64_t reused_tokens(int64_t id) const;
  const KvCache& cache() const { return cache_; }

 private:
  struct Sequence {
    int64_t id;
    int64_t pages;                // in the pool
    std::vector<int32_t> tokens;  // prompt and answer
    int64_t cached;               // how many of them the cache holds
    int64_t reused;
    int64_t generated = 0;
    Request request;
    Sampler sampler;
    TextStream text;

    int64_t pending() const { return static_cast<int64_t>(tokens.size()) - cached; }
  };
  // A sequence's share of a step: its next `count` tokens.
  struct Share {
    Sequence* sequence;
    int64_t count;
  };

  std::vector<Share> PlanStep();
  // The next tokens of those of the shares' sequences whose pending tokens end with this step.
  std::vector<int32_t> Forward(const std::vector<Share>& shares);
  // The same for one token of each sequence.
  std::vector<int32_t> Decode(const std::vector<Share>& shares);
  DecodeStep& StepFor(std::span<const DecodeStep::Row> rows, std::span<const SampleRow> samples);
  // How the tokens of these are drawn; nothing when each is the most likely one.
  static std::vector<SampleRow> NextSamples(const std::vector<Sequence*>& sequences);
  // Brings the drawn tokens to the host. Throws kInternal naming a logit that is no number.
  std::vector<int32_t> Fetch(const TensorView& tokens, const TensorView& logits);
  StepOutput Advance(Sequence& sequence, int32_t token);
  // Takes over the parked sequence's pages as far as its tokens are the prompt's; how many are.
  int64_t AdoptParked(const std::vector<int32_t>& prompt, int64_t& pages);
  void Park(Sequence& sequence);
  Sequence& Find(int64_t id);

  struct Parked {
    int64_t pages;
    std::vector<int32_t> tokens;
  };

  Backend& backend_;
  const CausalLm& model_;
  const Tokenizer& tokenizer_;
  GeneratorOptions options_;
  // Then a prompt is read at once and no cache is reused: keys must be rotated for the whole
  // prompt's length, as in a fresh run.
  bool keys_depend_on_length_;
  Workspace scratch_;
  KvCache cache_;
  std::list<Sequence> active_;  // in the order of arrival
  std::optional<Parked>
      parked_;  // kept until its pages are wanted: the next turn of a chat begins so
  std::list<DecodeStep> steps_;  // the one used last comes first
  int64_t next_id_ = 0;
};

}  // namespace awq
