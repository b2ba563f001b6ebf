#include "awq/api/internal/window_scorer.h"

#include <algorithm>
#include <cmath>

#include "awq/backend/make_backend.h"
#include "awq/base/clock.h"
#include "awq/nn/batch_builder.h"

namespace awq {
namespace {

// Tokens of one forward pass; one window at least.
constexpr int64_t kBatchTokens = 1024;

int64_t WindowsOfBatch(int64_t window) { return std::max<int64_t>(1, kBatchTokens / window); }

}  // namespace

WindowScorer::Runner::Runner(const std::filesystem::path& folder, Backend& on, DType act,
                             DType kv_type, int64_t pages, int head_bits)
    : path(folder),
      source(OpenModel(folder)),
      model(on, source, head_bits),
      cache(on, source.spec(), 0, source.spec().num_layers(), pages, kv_type),
      scratch(on),
      ctx{on, scratch, act, nullptr} {}

std::span<const float> WindowScorer::Runner::Row(int64_t row) const {
  const auto size = static_cast<size_t>(vocab());
  return std::span(logits).subspan(static_cast<size_t>(row) * size, size);
}

WindowScorer::WindowScorer(const ScorerOptions& options)
    : window_(options.window),
      backend_(MakeBackend(options.device, options.threads)),
      pool_(backend_->Info().threads) {
  const DType act = ActivationType(options.dtype, backend_->Info(), true);
  if (options.reference) reference_ = Load(*options.reference, act, act, 16);
  const DType kv_type = KvCacheType(options.kv_type, act);
  for (const auto& folder : options.models) {
    models_.push_back(Load(folder, act, kv_type, options.head_bits));
    AWQ_CHECK(!reference_ || models_.back()->vocab() == reference_->vocab(), kInvalidArgument,
              folder.string(), ": has a vocabulary of ", models_.back()->vocab(),
              ", the reference ", reference_->path.string(), " one of ", reference_->vocab());
  }
}

std::unique_ptr<WindowScorer::Runner> WindowScorer::Load(const std::filesystem::path& folder,
                                                         DType act, DType kv_type,
                                                         int head_bits) const {
  const int64_t context = OpenModel(folder).spec().context;
  AWQ_CHECK(window_ <= context, kInvalidArgument, "window: expected at most ", context,
            " tokens, the context of ", folder.string(), ", found ", window_);
  const int64_t pages = WindowsOfBatch(window_) * PagesFor(window_);
  return std::make_unique<Runner>(folder, *backend_, act, kv_type, pages, head_bits);
}

size_t WindowScorer::BatchSize(std::span<const Window> windows) const {
  return std::min(windows.size(), static_cast<size_t>(WindowsOfBatch(window_)));
}

void WindowScorer::Forward(Runner& r, const Batch& batch) {
  r.model.Forward(r.ctx, batch, r.cache.layers(), r.hidden);
  backend_->Sync();
}

void WindowScorer::Run(std::span<const Window> windows, size_t first) {
  std::vector<std::vector<int32_t>> inputs;
  for (const Window& w : windows) inputs.push_back(w.inputs);
  BatchBuilder builder;
  const Batch batch = BuildFreshBatch(builder, *backend_, inputs);
  std::vector<std::unique_ptr<Workspace::Scope>> scopes;
  const auto forward = [&](Runner& r) {
    for (const Window& w : windows) {
      for (int32_t id : w.inputs) {
        AWQ_CHECK(id >= 0 && id < r.vocab(), kInvalidArgument, r.path.string(), ": token ", id,
                  " of the text is outside the model's vocabulary of ", r.vocab());
      }
    }
    const auto start = Clock::now();
    scopes.push_back(std::make_unique<Workspace::Scope>(r.scratch));
    r.hidden = r.scratch.Take(DType::kF32, {batch.num_tokens(), r.source.spec().hidden});
    Forward(r, batch);
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

// Block by block, so that whole windows of logits are never held.
void WindowScorer::ScoreWindow(const Window& window, int64_t first_row, size_t index) {
  const int64_t block = std::max<int64_t>(1, kLogitBytes / (4 * models_.front()->vocab()));
  const auto count = static_cast<int64_t>(window.targets.size());
  for (int64_t begin = 0; begin < count; begin += block) {
    const int64_t rows = std::min(block, count - begin);
    const std::span<const int32_t> targets(window.targets.data() + begin,
                                           static_cast<size_t>(rows));
    std::vector<RowSummary> of_reference;
    if (reference_) {
      Logits(*reference_, first_row + begin, rows);
      of_reference = SummarizeRows(*reference_, rows, index);
      ScoreTargets(*reference_, targets, of_reference);
    }
    for (const auto& m : models_) {
      const auto start = Clock::now();
      Logits(*m, first_row + begin, rows);
      Score(*m, targets, of_reference, index);
      m->seconds += SecondsSince(start);
    }
  }
}

void WindowScorer::Logits(Runner& r, int64_t first, int64_t rows) {
  const Workspace::Scope scope(r.scratch);
  const TensorView logits = r.scratch.Take(DType::kF32, {rows, r.vocab()});
  r.model.Logits(r.ctx, r.hidden.Rows(first, first + rows), logits);
  r.logits.resize(static_cast<size_t>(rows * r.vocab()));
  backend_->Copy(TensorView(r.logits.data(), DType::kF32, logits.shape), logits);
  backend_->Sync();
}

std::vector<RowSummary> WindowScorer::SummarizeRows(const Runner& r, int64_t rows, size_t window) {
  std::vector<RowSummary> out(static_cast<size_t>(rows));
  pool_.For(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[static_cast<size_t>(i)] = Summarize(r.Row(i));
  });
  for (const RowSummary& s : out) {
    AWQ_CHECK(
        std::isfinite(s.log_sum), kInternal, r.path.string(), ": logits of window ", window,
        " are not finite; weights are damaged (awq verify) or activations overflow (--dtype f32)");
  }
  return out;
}

void WindowScorer::ScoreTargets(Runner& r, std::span<const int32_t> targets,
                                std::span<const RowSummary> summaries) {
  for (size_t i = 0; i < targets.size(); ++i) {
    const float logit = r.Row(static_cast<int64_t>(i))[static_cast<size_t>(targets[i])];
    r.scores.Add(static_cast<double>(logit) - summaries[i].log_sum);
  }
}

void WindowScorer::Score(Runner& r, std::span<const int32_t> targets,
                         std::span<const RowSummary> of_reference, size_t window) {
  const auto rows = static_cast<int64_t>(targets.size());
  const std::vector<RowSummary> summaries = SummarizeRows(r, rows, window);
  ScoreTargets(r, targets, summaries);
  if (of_reference.empty()) return;
  std::vector<double> kl(targets.size());
  pool_.For(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      kl[at] = KlDivergence(reference_->Row(i), of_reference[at], r.Row(i), summaries[at]);
    }
  });
  for (size_t i = 0; i < kl.size(); ++i) {
    r.scores.AddDivergence(kl[i], of_reference[i].top == summaries[i].top);
  }
}

}  // namespace awq
