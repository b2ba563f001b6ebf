// Llm: loads a checkpoint and generates text with it.
//
//   awq::Llm llm = awq::Llm::Load("models/demo");
//   llm.Generate("The history of", {}, {.on_text = [](std::string_view text) { std::cout << text;
//   }});
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/error.h"

namespace awq {

struct LlmOptions {
  std::string device = "auto";   // "cpu", "cuda", "ref"; auto: cuda where there is one, else cpu
  int threads = 0;               // host threads; 0: all cores this process may use
  std::string dtype = "auto";    // of activations: "f32", "bf16", "f16"; auto: the device's choice
  std::string kv_type = "auto";  // of the KV cache: also "fp8" (E4M3); auto: that of activations
  // Of the weight that makes the logits: 16 as stored, 8 or 4 rounded; 0: 8 on a GPU for a
  // quantized model, else 16.
  int head_bits = 0;
  int64_t context = 0;  // tokens of prompt and answer; 0: the model's max_position_embeddings
  // Bytes of the KV cache; 0: what the context of `sequences` answers takes, as far as 90 % of the
  // free memory allow.
  int64_t kv_memory = 0;
  int64_t sequences = 1;  // answers that may fill the context side by side; others wait
  // Equal answers to the last bit, however much of a prompt is read at once and whatever runs
  // beside it; slower.
  bool deterministic = false;
};

// How to generate. What is left empty comes from the checkpoint's generation_config.json, and,
// where that says nothing, is as stated here. Order of application: penalties, temperature, top-k,
// top-p, min-p.
struct GenerateOptions {
  std::optional<int64_t> max_tokens = {};  // > 0; 512, or fewer if the context ends before
  // ≥ 0; 0: always the most likely token. Default: 0 unless do_sample, or one of top_k, top_p and
  // min_p is given here, then 1.
  std::optional<double> temperature = {};
  std::optional<int64_t> top_k = {};  // ≥ 0; 0: all tokens
  std::optional<double> top_p = {};   // (0, 1]; 1: all tokens
  std::optional<double> min_p = {};   // [0, 1), relative to the most likely; 0: all tokens
  std::optional<double> repetition_penalty = {};  // > 0; 1: none
  double presence_penalty = 0;                    // -2…2, of tokens in the answer
  double frequency_penalty = 0;                   // -2…2, each time
  std::optional<uint64_t> seed = {};              // default: another one each time, see the result
  std::vector<std::string> stop = {};             // texts that end the answer; never part of it
  bool ignore_eos = false;                        // go on after the model's end-of-text tokens
};

// Called by the thread that waits for the answer.
struct GenerateCallbacks {
  // The answer as it grows: valid UTF-8, never a part of a stop string.
  std::function<void(std::string_view)> on_text = {};
  std::function<bool()> cancelled = {};  // asked after each token, and while none comes
};

struct GenerateResult {
  std::string text;
  std::vector<int32_t> tokens;  // of the answer, an end-of-text token included
  std::string finish_reason;    // "stop" (end of text or a stop text), "length" or "cancelled"
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;   // of the prompt, found in the KV cache of the call before
  double prefill_seconds = 0;  // until the first token
  double decode_seconds = 0;   // for all others
  uint64_t seed = 0;           // that was used
};

struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// Movable. Several threads may wait for answers at a time, which are then made side by side.
class Llm {
 public:
  // Reads config.json, generation_config.json, tokenizer.json, the chat template and all weights.
  // Throws kNotFound, kCorrupt (naming file and tensor), kUnsupported (architecture, format, dtype
  // on this device), kInvalidArgument (device or dtype name, context), kOutOfMemory, kDevice.
  static Llm Load(const std::filesystem::path& model, const LlmOptions& options = {});
  ~Llm();
  Llm(Llm&&) noexcept;
  Llm& operator=(Llm&&) noexcept;

  // Continues `prompt`, encoded as the tokenizer does by default (with BOS where it adds one).
  // Throws kInvalidArgument (options out of range; prompt and answer longer than the context, with
  // token counts), kOutOfMemory (also when the KV cache can never hold both), kDevice, kInternal
  // (logits that are no numbers). The object stays usable.
  GenerateResult Generate(std::string_view prompt, const GenerateOptions& options = {},
                          const GenerateCallbacks& callbacks = {});
  GenerateResult Generate(const std::vector<int32_t>& prompt, const GenerateOptions& options = {},
                          const GenerateCallbacks& callbacks = {});
  // Answers a conversation in the form of the model's chat template. Also throws kUnsupported when
  // there is none, and kInvalidArgument for what the template refuses. A conversation that
  // continues the one of the call before costs only its new tokens.
  GenerateResult Chat(const std::vector<Message>& messages, const GenerateOptions& options = {},
                      const GenerateCallbacks& callbacks = {});

  bool has_chat_template() const;
  // The text that Chat() encodes.
  std::string ApplyChatTemplate(const std::vector<Message>& messages) const;

  // Token ids; `special` adds what the tokenizer puts around a text (BOS).
  std::vector<int32_t> Encode(std::string_view text, bool special = true) const;
  std::string Decode(const std::vector<int32_t>& tokens, bool skip_special = true) const;

  int64_t context() const;            // tokens
  int64_t vocabulary() const;         // size V of the logits
  const std::string& device() const;  // for people, e.g. "AVX2, 2 threads"

 private:
  class Impl;
  explicit Llm(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace awq
