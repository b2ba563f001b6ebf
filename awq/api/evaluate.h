// Evaluate: perplexity of models on a text, and how far they are from a reference model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace awq {

struct EvaluateOptions {
  std::vector<std::filesystem::path> models;  // at least one; evaluated side by side in one pass
  // UTF-8; encoded once, whole, without special tokens. "builtin": the project's held-out text.
  std::filesystem::path text = "builtin";
  // Adds KL divergence and top-1 agreement of every model against this one. Needs equal
  // vocabularies.
  std::optional<std::filesystem::path> reference = {};
  int64_t window = 1024;  // tokens the model sees at once, 2 … the model's context
  // true: consecutive windows of `window` - 1 text tokens, each behind a BOS token; every text
  // token is scored, also those of a shorter last window. false: consecutive windows of `window`
  // text tokens; the first token of each is not scored, an incomplete last window is dropped.
  // Default: whether the tokenizer adds a BOS.
  std::optional<bool> bos = {};
  int64_t max_windows = 0;  // from the beginning of the text; 0: all
  std::string device = "auto";
  std::string dtype = "auto";  // of activations; "auto" is "f32" on CPUs
  // Of the KV cache of `models`, not of the reference's: also "fp8"; auto: that of activations.
  std::string kv_type = "auto";
  int threads = 0;     // 0: all cores
  int head_bits = 16;  // of the heads of `models`: 16 as stored, 8 or 4 rounded
};

// KL(reference ‖ model) of the next-token distributions, in nats, over all scored tokens; computed
// in f64 from f32 logits. Quantiles interpolate linearly.
struct Divergence {
  double mean = 0;
  double median = 0;
  double p99 = 0;
  double p999 = 0;
  double top1 = 0;  // share of tokens for which both find the same most likely, 0…1
  double reference_perplexity = 0;  // on the same tokens
};

struct EvaluateResult {
  std::filesystem::path model;
  bool bos = false;
  int64_t windows = 0;
  int64_t tokens = 0;     // scored
  double nll = 0;         // mean negative log likelihood, nats a token
  double perplexity = 0;  // e^nll
  double seconds = 0;     // spent on this model, without loading and without the reference
  std::optional<Divergence> divergence = {};
};

struct EvaluateProgress {
  int64_t window = 0;  // done
  int64_t windows = 0;
  double seconds = 0;
  std::vector<double> perplexities;  // so far, one for each model
};

struct EvaluateCallbacks {
  std::function<void(const EvaluateProgress&)> progress = {};  // after each batch of windows
  std::function<bool()> cancelled = {};                        // asked before each
};

// One result for each model, in their order. Memory: all models, their activations of one window,
// and two blocks of logits, whatever the vocabulary. Throws kInvalidArgument (options; a text too
// short; models whose tokens differ from the reference's), kNotFound, kCorrupt, kUnsupported,
// kOutOfMemory, kDevice, kCancelled, kInternal (logits that are no numbers; names model and
// window).
std::vector<EvaluateResult> Evaluate(const EvaluateOptions& options,
                                     const EvaluateCallbacks& callbacks = {});

}  // namespace awq
