// Request: what one sequence is asked to generate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace awq {

// How the next token is drawn. Applied in the order of the fields, as Transformers and vLLM do:
// penalties, temperature, top-k, top-p, min-p.
struct SamplingParams {
  // > 0. Logits of tokens seen in prompt or output are divided (positive) or multiplied (negative)
  // by it.
  double repetition_penalty = 1;
  double frequency_penalty = 0;  // -2…2; subtracted once for each time a token was generated
  double presence_penalty = 0;   // -2…2; subtracted once if a token was generated at all
  double temperature = 1;        // ≥ 0; 0: the most likely token, the lowest id among equals
  int64_t top_k = 0;             // ≥ 0; 0: all. Tokens as likely as the k-th stay too
  double top_p = 1;              // (0, 1]; the fewest tokens whose probabilities reach it
  double min_p = 0;              // [0, 1); drops what is less likely than min_p × the most likely
  uint64_t seed = 0;             // equal seeds give equal draws

  // Throws kInvalidArgument naming the parameter, its range and the value.
  void Check() const;
};

struct Request {
  std::vector<int32_t> prompt;
  SamplingParams sampling;
  int64_t max_tokens = 1;         // > 0
  std::vector<std::string> stop;  // texts that end the answer and are not part of it
  std::vector<int32_t> stop_ids;  // end-of-text tokens; not part of the answer either
  bool ignore_eos = false;        // generate on over stop_ids
};

enum class FinishReason {
  kStop,       // an end-of-text token or a stop string
  kLength,     // max_tokens
  kCancelled,  // by the caller
};

}  // namespace awq
