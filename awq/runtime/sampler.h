// Sampler: what the next token of one sequence is drawn with; draws it, too, on the host.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

#include "awq/ops/sample_row.h"
#include "awq/runtime/request.h"

namespace awq {

class Sampler {
 public:
  // Throws kInvalidArgument for parameters out of range.
  Sampler(const SamplingParams& params, std::span<const int32_t> prompt);

  // What Backend::Sample needs for the next draw, with a new random number; valid until Accept().
  SampleRow Next();
  // The token that was drawn; it counts as generated from then on.
  void Accept(int32_t id);

  // One token, accepted. `logits` [V] are overwritten; -inf bars a token. Throws kInternal naming
  // the token when a logit is NaN or +inf, or when all are -inf.
  int32_t Sample(std::span<float> logits);

  // Whether the next token is the place of the largest logit as it is.
  bool TakesBest() const;
  // Whether Next() depends on what was accepted.
  bool Penalizes() const;

 private:
  SamplingParams params_;
  std::mt19937_64
      random_;  // its sequence is fixed by the standard; distributions are not, so we use none
  // Tokens of prompt and answer, each once: how often it was generated, what its logit loses.
  std::unordered_map<int32_t, size_t> places_;
  std::vector<int32_t> seen_;
  std::vector<int64_t> generated_;
  std::vector<float> subtract_;
};

// The largest logit, the lowest id among equals. Throws as Sampler::Sample.
int32_t ArgMax(std::span<const float> logits);

}  // namespace awq
