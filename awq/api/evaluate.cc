#include "awq/api/evaluate.h"

#include <cmath>

#include "awq/api/internal/heldout_text.h"
#include "awq/api/internal/window_scorer.h"
#include "awq/base/clock.h"

namespace awq {
namespace {

struct Text {
  std::vector<Window> windows;
  bool bos = false;
};

int32_t ConfiguredBos(const std::filesystem::path& folder) {
  const auto id = Checkpoint::Open(folder)->config().Find("bos_token_id");
  AWQ_CHECK(
      id && id->raw().is_number_integer(), kInvalidArgument, folder.string(),
      ": BOS windows are asked for, but neither the tokenizer nor config.json has a BOS token");
  return static_cast<int32_t>(id->AsInt());
}

// With the reference's tokenizer, or the first model's; the others must agree with it.
Text ReadText(const EvaluateOptions& options) {
  AWQ_CHECK(!options.models.empty(), kInvalidArgument, "eval: no model is named");
  AWQ_CHECK(options.window >= 2, kInvalidArgument, "window: expected at least 2 tokens, found ",
            options.window);
  AWQ_CHECK(options.max_windows >= 0, kInvalidArgument,
            "max_windows: expected 0 (all) or more, found ", options.max_windows);
  const auto& first = options.reference ? *options.reference : options.models.front();
  const auto tokenizer = Tokenizer::Load(first);
  const std::string text = ReadHeldOutText(options.text.string()).content;
  const std::vector<TokenId> tokens = tokenizer->Encode(text, false);
  for (const auto& model : options.models) {
    if (model == first) continue;
    AWQ_CHECK(Tokenizer::Load(model)->Encode(text, false) == tokens, kInvalidArgument,
              model.string(), ": its tokenizer gives other tokens than that of ", first.string(),
              "; such models cannot be compared token by token");
  }
  const std::optional<TokenId> prefix = PrefixToken(*tokenizer);
  Text out{{}, options.bos.value_or(prefix.has_value())};
  std::optional<int32_t> bos;
  if (out.bos) bos = prefix ? *prefix : ConfiguredBos(first);
  out.windows = CutWindows(tokens, options.window, bos, options.max_windows);
  AWQ_CHECK(!out.windows.empty(), kInvalidArgument, options.text.string(), ": has ", tokens.size(),
            " tokens, too few for one window of ", options.window);
  return out;
}

std::vector<EvaluateResult> Results(const EvaluateOptions& options, const Text& text,
                                    const WindowScorer& scorer) {
  std::vector<EvaluateResult> out;
  for (size_t i = 0; i < options.models.size(); ++i) {
    const Scores& scores = scorer.scores(i);
    const double nll = scores.MeanNll();
    out.push_back({.model = options.models[i],
                   .bos = text.bos,
                   .windows = static_cast<int64_t>(text.windows.size()),
                   .tokens = scores.tokens(),
                   .nll = nll,
                   .perplexity = std::exp(nll),
                   .seconds = scorer.seconds(i),
                   .divergence = scores.Summary()});
    if (out.back().divergence) {
      out.back().divergence->reference_perplexity = std::exp(scorer.reference_scores().MeanNll());
    }
  }
  return out;
}

}  // namespace

std::vector<EvaluateResult> Evaluate(const EvaluateOptions& options,
                                     const EvaluateCallbacks& callbacks) {
  const Text text = ReadText(options);
  WindowScorer scorer({.models = options.models,
                       .reference = options.reference,
                       .window = options.window,
                       .device = options.device,
                       .dtype = options.dtype,
                       .kv_type = options.kv_type,
                       .threads = options.threads,
                       .head_bits = options.head_bits});
  const auto start = Clock::now();
  std::span<const Window> rest = text.windows;
  while (!rest.empty()) {
    AWQ_CHECK(!callbacks.cancelled || !callbacks.cancelled(), kCancelled, "cancelled");
    const size_t count = scorer.BatchSize(rest);
    scorer.Run(rest.first(count), text.windows.size() - rest.size());
    rest = rest.subspan(count);
    if (!callbacks.progress) continue;
    EvaluateProgress progress;
    progress.window = static_cast<int64_t>(text.windows.size() - rest.size());
    progress.windows = static_cast<int64_t>(text.windows.size());
    progress.seconds = SecondsSince(start);
    for (size_t i = 0; i < options.models.size(); ++i) {
      progress.perplexities.push_back(std::exp(scorer.scores(i).MeanNll()));
    }
    callbacks.progress(progress);
  }
  return Results(options, text, scorer);
}

}  // namespace awq
