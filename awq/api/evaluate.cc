#include "awq/api/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "awq/api/loading.h"
#include "awq/api/scoring.h"
#include "awq/api/windows.h"
#include "awq/backend/make_backend.h"
#include "awq/base/file.h"
#include "awq/base/threads.h"
#include "awq/nn/batch_builder.h"
#include "awq/nn/causal_lm.h"
#include "awq/nn/kv_pages.h"

namespace awq {
namespace {

using Clock = std::chrono::steady_clock;

// Bounds of memory: tokens of one forward pass (one window at least), bytes of one block of logits.
constexpr int64_t kBatchTokens = 1024;
constexpr int64_t kLogitBytes = int64_t{32} << 20;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A loaded model with what it needs to run windows.
struct Runner {
  Runner(const std::filesystem::path& folder, Backend& on, DType act, int64_t pages)
      : path(folder),
        source(OpenModel(folder)),
        model(on, source),
        cache(on, source.spec(), 0, source.spec().num_layers(), pages, act),
        scratch(on),
        ctx{on, scratch, act, nullptr} {}

  std::filesystem::path path;
  WeightSource source;
  CausalLm model;
  KvPages cache;
  Workspace scratch;
  ExecContext ctx;
  Scores scores;
  double seconds = 0;
  // Of the current batch.
  TensorView hidden;
  std::vector<float> logits;
};

class Evaluation {
 public:
  Evaluation(const EvaluateOptions& options, const EvaluateCallbacks& callbacks)
      : options_(options),
        callbacks_(callbacks),
        backend_(MakeBackend(options.device, options.threads)),
        pool_(backend_->Info().threads) {}

  std::vector<EvaluateResult> Run() {
    AWQ_CHECK(!options_.models.empty(), kInvalidArgument, "eval: no model is named");
    ReadWindows();
    Load();
    const auto start = Clock::now();
    for (size_t first = 0; first < windows_.size();) {
      AWQ_CHECK(!callbacks_.cancelled || !callbacks_.cancelled(), kCancelled, "cancelled");
      const size_t end = BatchEnd(first);
      RunBatch(std::span(windows_).subspan(first, end - first), first);
      first = end;
      Progress(first, SecondsSince(start));
    }
    return Results();
  }

 private:
  void ReadWindows() {
    const std::string text = ReadFile(options_.text);
    const std::filesystem::path& first =
        options_.reference ? *options_.reference : options_.models.front();
    const auto tokenizer = Tokenizer::Load(first);
    const std::vector<TokenId> tokens = tokenizer->Encode(text, false);
    const std::optional<TokenId> prefix = PrefixToken(*tokenizer);
    bos_ = options_.bos.value_or(prefix.has_value());
    std::optional<int32_t> bos;
    if (bos_) bos = prefix ? *prefix : ConfiguredBos(first);
    for (const auto& model : options_.models) {
      if (model == first) continue;
      AWQ_CHECK(Tokenizer::Load(model)->Encode(text, false) == tokens, kInvalidArgument,
                model.string(), ": its tokenizer gives other tokens than that of ", first.string(),
                "; such models cannot be compared token by token");
    }
    AWQ_CHECK(options_.window >= 2 && options_.max_windows >= 0, kInvalidArgument,
              "window: expected at least 2 tokens, found ", options_.window);
    windows_ = CutWindows(tokens, options_.window, bos, options_.max_windows);
    AWQ_CHECK(!windows_.empty(), kInvalidArgument, options_.text.string(), ": has ", tokens.size(),
              " tokens, too few for one window of ", options_.window);
  }

  static int32_t ConfiguredBos(const std::filesystem::path& folder) {
    const auto id = OpenModel(folder).checkpoint().config().Find("bos_token_id");
    AWQ_CHECK(id && id->raw().is_number_integer(), kInvalidArgument, folder.string(),
              ": BOS windows are asked for, but neither the tokenizer nor config.json has a BOS token");
    return static_cast<int32_t>(id->AsInt());
  }

  void Load() {
    const DType act = ActivationType(options_.dtype, backend_->Info(), true);
    const int64_t windows = std::max<int64_t>(1, kBatchTokens / options_.window);
    const int64_t pages = windows * PagesFor(options_.window);
    const auto load = [&](const std::filesystem::path& folder) {
      auto runner = std::make_unique<Runner>(folder, *backend_, act, pages);
      const ModelSpec& spec = runner->source.spec();
      AWQ_CHECK(options_.window <= spec.context, kInvalidArgument, "window: expected at most ",
                spec.context, " tokens, the context of ", folder.string(), ", found ", options_.window);
      for (const Window& w : windows_) {
        for (int32_t id : w.inputs) {
          AWQ_CHECK(id >= 0 && id < spec.vocab, kInvalidArgument, folder.string(), ": token ", id,
                    " of its tokenizer is outside the model's vocabulary of ", spec.vocab);
        }
      }
      return runner;
    };
    if (options_.reference) reference_ = load(*options_.reference);
    for (const auto& model : options_.models) {
      models_.push_back(load(model));
      const int64_t vocab = models_.back()->source.spec().vocab;
      AWQ_CHECK(!reference_ || vocab == reference_->source.spec().vocab, kInvalidArgument,
                model.string(), ": has a vocabulary of ", vocab, ", the reference one of ",
                reference_->source.spec().vocab);
    }
  }

  size_t BatchEnd(size_t first) const {
    int64_t tokens = 0;
    size_t end = first;
    while (end < windows_.size() && (end == first || tokens + options_.window <= kBatchTokens)) {
      tokens += options_.window;
      ++end;
    }
    return end;
  }

  // Windows share a forward pass; their rows of logits are then scored block by block.
  void RunBatch(std::span<const Window> windows, size_t first) {
    std::vector<std::vector<int32_t>> inputs;
    for (const Window& w : windows) inputs.push_back(w.inputs);
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, *backend_, inputs);
    std::vector<std::unique_ptr<Workspace::Scope>> scopes;
    const auto forward = [&](Runner& r) {
      const auto start = Clock::now();
      scopes.push_back(std::make_unique<Workspace::Scope>(r.scratch));
      r.hidden = r.scratch.Take(DType::kF32, {batch.num_tokens(), r.source.spec().hidden});
      r.model.Forward(r.ctx, batch, r.cache.layers(), r.hidden);
      backend_->Sync();
      r.seconds += SecondsSince(start);
    };
    if (reference_) forward(*reference_);
    for (const auto& m : models_) forward(*m);
    int64_t row = 0;
    for (size_t i = 0; i < windows.size(); ++i) {
      ScoreWindow(windows[i], row, first + i);
      row += static_cast<int64_t>(windows[i].inputs.size());
    }
  }

  void ScoreWindow(const Window& window, int64_t first_row, size_t index) {
    const int64_t vocab = models_.front()->source.spec().vocab;
    const int64_t block = std::max<int64_t>(1, kLogitBytes / (4 * vocab));
    const auto count = static_cast<int64_t>(window.targets.size());
    for (int64_t begin = 0; begin < count; begin += block) {
      const int64_t rows = std::min(block, count - begin);
      const std::span<const int32_t> targets(window.targets.data() + begin, static_cast<size_t>(rows));
      std::vector<RowSummary> of_reference;
      if (reference_) {
        Logits(*reference_, first_row + begin, rows);
        of_reference = SummarizeRows(*reference_, rows, index);
      }
      for (const auto& m : models_) {
        const auto start = Clock::now();
        Logits(*m, first_row + begin, rows);
        Score(*m, targets, of_reference, index);
        m->seconds += SecondsSince(start);
      }
    }
  }

  void Logits(Runner& r, int64_t first, int64_t rows) {
    const Workspace::Scope scope(r.scratch);
    const int64_t vocab = r.source.spec().vocab;
    const TensorView logits = r.scratch.Take(DType::kF32, {rows, vocab});
    r.model.Logits(r.ctx, r.hidden.Rows(first, first + rows), logits);
    r.logits.resize(static_cast<size_t>(rows * vocab));
    backend_->Copy(TensorView(r.logits.data(), DType::kF32, logits.shape), logits);
    backend_->Sync();
  }

  static std::span<const float> Row(const Runner& r, int64_t row) {
    const auto vocab = static_cast<size_t>(r.source.spec().vocab);
    return std::span(r.logits).subspan(static_cast<size_t>(row) * vocab, vocab);
  }

  std::vector<RowSummary> SummarizeRows(const Runner& r, int64_t rows, size_t window) {
    std::vector<RowSummary> out(static_cast<size_t>(rows));
    pool_.For(rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[static_cast<size_t>(i)] = Summarize(Row(r, i));
    });
    for (const RowSummary& s : out) {
      AWQ_CHECK(std::isfinite(s.log_sum), kInternal, r.path.string(), ": logits of window ", window,
                " are not finite; the weights or activations overflow: try --dtype f32");
    }
    return out;
  }

  void Score(Runner& r, std::span<const int32_t> targets, std::span<const RowSummary> of_reference,
             size_t window) {
    const auto rows = static_cast<int64_t>(targets.size());
    const std::vector<RowSummary> summaries = SummarizeRows(r, rows, window);
    for (size_t i = 0; i < targets.size(); ++i) {
      const float logit = Row(r, static_cast<int64_t>(i))[static_cast<size_t>(targets[i])];
      r.scores.Add(static_cast<double>(logit) - summaries[i].log_sum);
    }
    if (of_reference.empty()) return;
    std::vector<double> kl(targets.size());
    pool_.For(rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto at = static_cast<size_t>(i);
        kl[at] = KlDivergence(Row(*reference_, i), of_reference[at], Row(r, i), summaries[at]);
      }
    });
    for (size_t i = 0; i < kl.size(); ++i) {
      r.scores.AddDivergence(kl[i], of_reference[i].top == summaries[i].top);
    }
  }

  void Progress(size_t done, double seconds) const {
    if (!callbacks_.progress) return;
    EvaluateProgress out{.window = static_cast<int64_t>(done),
                         .windows = static_cast<int64_t>(windows_.size()),
                         .seconds = seconds,
                         .perplexities = {}};
    for (const auto& m : models_) out.perplexities.push_back(std::exp(m->scores.MeanNll()));
    callbacks_.progress(out);
  }

  std::vector<EvaluateResult> Results() const {
    std::vector<EvaluateResult> out;
    for (const auto& m : models_) {
      const double nll = m->scores.MeanNll();
      out.push_back({.model = m->path,
                     .bos = bos_,
                     .windows = static_cast<int64_t>(windows_.size()),
                     .tokens = m->scores.tokens(),
                     .nll = nll,
                     .perplexity = std::exp(nll),
                     .seconds = m->seconds,
                     .divergence = m->scores.Summary()});
    }
    return out;
  }

  const EvaluateOptions& options_;
  const EvaluateCallbacks& callbacks_;
  std::unique_ptr<Backend> backend_;
  ThreadPool pool_;
  bool bos_ = false;
  std::vector<Window> windows_;
  std::unique_ptr<Runner> reference_;
  std::vector<std::unique_ptr<Runner>> models_;
};

}  // namespace

std::vector<EvaluateResult> Evaluate(const EvaluateOptions& options,
                                     const EvaluateCallbacks& callbacks) {
  return Evaluation(options, callbacks).Run();
}

}  // namespace awq
