// Generator: schedules requests over one model; all active ones run together in each step.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "awq/nn/causal_lm.h"
#include "awq/runtime/kv_cache.h"
#include "awq/runtime/model_runner.h"
#include "awq/runtime/request.h"
#include "awq/runtime/sampler.h"
#include "awq/runtime/text_stream.h"

namespace awq {

struct GeneratorOptions {
  int64_t context = 0;   // tokens one sequence may have, prompt and answer
  int64_t capacity = 0;  // tokens of all sequences that the KV cache holds
  int64_t chunk =
      512;  // prompt tokens of one step: bounds its memory and the wait of other sequences
  int64_t sequences = 64;             // active at a time
  DType act = DType::kF32;            // of activations
  std::optional<DType> kv_type = {};  // of the KV cache; that of activations by default
};

// What one step did for one sequence.
struct StepOutput {
  int64_t id = 0;
  std::string text = {};                    // newly settled
  std::optional<int32_t> token = {};        // drawn; absent while the prompt is being read
  std::optional<FinishReason> finish = {};  // set in the sequence's last output
  int64_t reused = 0;                       // of its prompt's tokens, found in the cache
};

// Not thread-safe. After an exception of Step() the generator is to be discarded.
class Generator {
 public:
  Generator(Backend& backend, const CausalLm& model, const Tokenizer& tokenizer,
            const GeneratorOptions& options);

  // Queues a request and returns its id. It waits, first come, first served, until the KV cache has
  // room for its prompt and answer beside the active ones. Throws kInvalidArgument: no prompt,
  // unknown token ids, parameters, more tokens than the context (with the counts); kOutOfMemory
  // when the KV cache could not hold it alone.
  int64_t Submit(Request request);

  // One forward pass: the next tokens of every active sequence's prompt (a chunk in all), one token
  // each of those that have read theirs. One output for each sequence that it advanced. Where only
  // answers go on, the device begins the pass after it, too, before this one's tokens are known: a
  // sequence that ends meanwhile has run one token further than it needed to. Throws
  // kInternal (logits that are no numbers), kDevice, kOutOfMemory.
  std::vector<StepOutput> Step();

  // Ends a sequence; its last output. Throws kInternal when there is none.
  StepOutput Cancel(int64_t id);

  bool idle() const { return active_.empty() && waiting_.empty(); }
  int64_t active() const { return static_cast<int64_t>(active_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  const KvCache& cache() const { return cache_; }

 private:
  struct Sequence {
    int64_t id;
    std::vector<int32_t> tokens;  // prompt and answer
    Request request;
    Sampler sampler;
    TextStream text;
    int64_t pages = -1;  // in the pool; while it is active
    int64_t cached = 0;  // how many of the tokens the cache holds
    int64_t reused = 0;
    int64_t generated = 0;

    int64_t pending() const { return static_cast<int64_t>(tokens.size()) - cached; }
    int64_t total() const {
      return static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
    }
  };
  // A sequence's share of a step: its next `count` tokens.
  struct Share {
    Sequence* sequence;
    int64_t count;
  };

  // Whether the first of those that wait can become active.
  bool HasRoom() const;
  // Makes those active that the KV cache has room for.
  void Admit();
  std::vector<Share> PlanStep();
  // Begins a pass where only answers go on, and fills running_; else runs it and returns its
  // outputs.
  std::vector<StepOutput> BeginStep();
  // Whether the running pass can be followed by another before its end is known.
  bool CanRunOn() const;
  // Of the sequence whose last tokens are in the cache.
  StepOutput Accept(Sequence& sequence, int32_t token);
  StepOutput Advance(Sequence& sequence, int32_t token);
  // Takes over the parked sequence's pages as far as its tokens are the prompt's; how many are.
  int64_t AdoptParked(const std::vector<int32_t>& prompt, int64_t& pages);
  void Park(Sequence& sequence);

  struct Parked {
    int64_t pages;
    std::vector<int32_t> tokens;
  };

  const CausalLm& model_;
  const Tokenizer& tokenizer_;
  GeneratorOptions options_;
  // Then a prompt is read at once and no cache is reused: keys must be rotated for the whole
  // prompt's length, as in a fresh run.
  bool keys_depend_on_length_;
  KvCache cache_;
  ModelRunner runner_;
  std::vector<int64_t> running_;  // ids of the sequences of the pass that has begun; or none
  std::list<Sequence> active_;    // in the order of arrival
  std::list<Sequence> waiting_;   // likewise
  std::optional<Parked>
      parked_;  // kept until its pages are wanted: the next turn of a chat begins so
  int64_t next_id_ = 0;
};

}  // namespace awq
