// Sampler: draws the next token of one sequence from its logits.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

#include "awq/runtime/request.h"

namespace awq {

class Sampler {
 public:
  // Throws kInvalidArgument for parameters out of range.
  Sampler(const SamplingParams& params, std::span<const int32_t> prompt);

  // One token; it counts as generated from then on. `logits` [V] are overwritten; -inf bars a
  // token. Throws kInternal naming the token when a logit is NaN or +inf, or when all are -inf.
  // Cost: one pass over V, a partial sort of the tokens that top-k or top-p keep.
  int32_t Sample(std::span<float> logits);

  // Whether Sample() would return the place of the largest logit as it is; Accept() then counts it.
  bool TakesBest() const;
  void Accept(int32_t id) { ++seen_[id].generated; }

  // Changes the logits as Sample() does before it divides by the temperature.
  void Penalize(std::span<float> logits) const;

 private:
  struct Candidate {
    float logit;  // divided by the temperature
    int32_t id;
  };
  struct Seen {
    bool in_prompt = false;
    int64_t generated = 0;
  };
  // Those that top-k keeps, in no order.
  void KeepTopK();
  // Sorts the most likely ones until top-p is reached and drops the rest.
  void KeepTopP();
  void KeepMinP();
  int32_t Draw();

  SamplingParams params_;
  std::unordered_map<int32_t, Seen> seen_;
  std::mt19937_64
      random_;  // its sequence is fixed by the standard; distributions are not, so we use none
  std::vector<Candidate> candidates_;
};

// The largest logit, the lowest id among equals. Throws as Sampler::Sample.
int32_t ArgMax(std::span<const float> logits);

}  // namespace awq
