#include "awq/api/llm.h"

#include <algorithm>
#include <random>
#include <utility>

#include "awq/api/internal/generation_config.h"
#include "awq/api/internal/loading.h"
#include "awq/backend/make_backend.h"
#include "awq/base/clock.h"
#include "awq/nn/causal_lm.h"
#include "awq/runtime/engine.h"
#include "awq/runtime/event_queue.h"
#include "awq/runtime/kv_budget.h"
#include "awq/text/chat_template.h"

namespace awq {
namespace {

constexpr int64_t kDefaultMaxTokens = 512;

double Seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string FinishName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "";
}

SamplingParams ResolveSampling(const GenerateOptions& o, const GenerationConfig& config) {
  SamplingParams out;
  const bool samples = config.do_sample || o.top_k || o.top_p || o.min_p;
  out.temperature = o.temperature.value_or(samples ? config.temperature.value_or(1.0) : 0.0);
  out.top_k = o.top_k.value_or(config.top_k.value_or(0));
  out.top_p = o.top_p.value_or(config.top_p.value_or(1.0));
  out.min_p = o.min_p.value_or(config.min_p.value_or(0.0));
  out.repetition_penalty = o.repetition_penalty.value_or(config.repetition_penalty.value_or(1.0));
  out.presence_penalty = o.presence_penalty;
  out.frequency_penalty = o.frequency_penalty;
  out.seed = o.seed ? *o.seed : std::random_device()();
  return out;
}

int64_t ResolveContext(int64_t wanted, int64_t trained) {
  AWQ_CHECK(wanted >= 0 && wanted <= trained, kInvalidArgument, "context: expected at most ",
            trained, " tokens, as config.json's max_position_embeddings says, found ", wanted);
  return wanted == 0 ? trained : wanted;
}

}  // namespace

class Llm::Impl {
 public:
  Impl(const std::filesystem::path& folder, const LlmOptions& options)
      : source_(OpenModel(folder)),
        tokenizer_(Tokenizer::Load(folder)),
        template_(ChatTemplate::Load(folder)),
        config_(ReadGenerationConfig(folder, source_.checkpoint().config())),
        backend_(MakeBackend(options.device, options.threads, options.deterministic)),
        act_(ActivationType(options.dtype, backend_->Info(), false)),
        kv_type_(KvCacheType(options.kv_type, act_)),
        device_(backend_->Info().device),
        context_(ResolveContext(options.context, source_.spec().context)),
        model_(*backend_, source_,
               HeadBits(options.head_bits, backend_->Info(), source_.checkpoint())),
        kv_tokens_(KvTokens(source_.spec(), kv_type_,
                            {.context = context_,
                             .sequences = options.sequences,
                             .memory = options.kv_memory,
                             .free = backend_->FreeMemory()})),
        engine_([this] { return MakeGenerator(); }) {}

  GenerateResult Generate(std::vector<int32_t> prompt, const GenerateOptions& options,
                          const GenerateCallbacks& callbacks) {
    const auto prompt_tokens = static_cast<int64_t>(prompt.size());
    const int64_t left = context_ - prompt_tokens;
    AWQ_CHECK(left > 0, kInvalidArgument, "the prompt has ", prompt_tokens,
              " tokens, which leaves no room for an answer in the context of ", context_,
              " tokens");
    Request request;
    request.prompt = std::move(prompt);
    request.sampling = ResolveSampling(options, config_);
    request.max_tokens = options.max_tokens.value_or(std::min(kDefaultMaxTokens, left));
    request.stop = options.stop;
    request.stop_ids = config_.eos_ids;
    request.ignore_eos = options.ignore_eos;
    GenerateResult result;
    result.prompt_tokens = prompt_tokens;
    result.seed = request.sampling.seed;
    Await(std::move(request), callbacks, result);
    return result;
  }

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const ChatTemplate* chat_template() const { return template_.get(); }
  const std::string& device() const { return device_; }
  int64_t context() const { return context_; }
  int64_t vocabulary() const { return source_.spec().vocab; }

 private:
  std::unique_ptr<Generator> MakeGenerator() {
    return std::make_unique<Generator>(
        *backend_, model_, *tokenizer_,
        GeneratorOptions{
            .context = context_, .capacity = kv_tokens_, .act = act_, .kv_type = kv_type_});
  }

  void Await(Request request, const GenerateCallbacks& callbacks, GenerateResult& result) {
    const auto start = Clock::now();
    auto first = start;
    const auto events = std::make_shared<EventQueue>();
    const int64_t id = engine_.Submit(
        std::move(request), [events](EngineEvent event) { events->Push(std::move(event)); });
    bool cancelled = false;
    try {
      for (bool ended = false; !ended;) {
        if (!cancelled && callbacks.cancelled && callbacks.cancelled()) {
          cancelled = true;
          engine_.Cancel(id);
        }
        constexpr std::chrono::milliseconds kPatience{20};
        const auto event = events->Pop(kPatience);
        if (!event) continue;
        if (event->error) throw Error(event->error->code, event->error->message);
        if (event->token) {
          if (result.tokens.empty()) first = Clock::now();
          result.tokens.push_back(*event->token);
        }
        result.reused_tokens = event->reused;
        result.text += event->text;
        if (event->finish) result.finish_reason = FinishName(*event->finish);
        ended = event->last();
        if (callbacks.on_text && !event->text.empty()) callbacks.on_text(event->text);
      }
    } catch (...) {
      engine_.Cancel(id);  // nobody waits for the rest
      throw;
    }
    const auto end = Clock::now();
    if (result.tokens.empty()) first = end;
    result.prefill_seconds = Seconds(start, first);
    result.decode_seconds = Seconds(first, end);
  }

  WeightSource source_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<const ChatTemplate> template_;
  GenerationConfig config_;
  std::unique_ptr<Backend> backend_;
  DType act_;
  DType kv_type_;
  std::string device_;
  int64_t context_;
  CausalLm model_;
  int64_t kv_tokens_;
  Engine engine_;  // runs the backend from now on
};

Llm::Llm(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Llm::~Llm() = default;
Llm::Llm(Llm&&) noexcept = default;
Llm& Llm::operator=(Llm&&) noexcept = default;

Llm Llm::Load(const std::filesystem::path& model, const LlmOptions& options) {
  return Llm(std::make_unique<Impl>(model, options));
}

GenerateResult Llm::Generate(std::string_view prompt, const GenerateOptions& options,
                             const GenerateCallbacks& callbacks) {
  return impl_->Generate(Encode(prompt), options, callbacks);
}

GenerateResult Llm::Generate(const std::vector<int32_t>& prompt, const GenerateOptions& options,
                             const GenerateCallbacks& callbacks) {
  return impl_->Generate(prompt, options, callbacks);
}

GenerateResult Llm::Chat(const std::vector<Message>& messages, const GenerateOptions& options,
                         const GenerateCallbacks& callbacks) {
  // The template writes BOS itself.
  return impl_->Generate(Encode(ApplyChatTemplate(messages), false), options, callbacks);
}

bool Llm::has_chat_template() const { return impl_->chat_template() != nullptr; }

std::string Llm::ApplyChatTemplate(const std::vector<Message>& messages) const {
  AWQ_CHECK(has_chat_template(), kUnsupported,
            "the model has no chat template (chat_template.jinja, or chat_template in "
            "tokenizer_config.json); give it a plain prompt");
  std::vector<ChatMessage> out;
  for (const Message& m : messages) out.push_back({m.role, m.content});
  return impl_->chat_template()->Render(out, true);
}

std::vector<int32_t> Llm::Encode(std::string_view text, bool special) const {
  return impl_->tokenizer().Encode(text, special);
}

std::string Llm::Decode(const std::vector<int32_t>& tokens, bool skip_special) const {
  return impl_->tokenizer().Decode(tokens, skip_special);
}

int64_t Llm::context() const { return impl_->context(); }
int64_t Llm::vocabulary() const { return impl_->vocabulary(); }
const std::string& Llm::device() const { return impl_->device(); }

}  // namespace awq
