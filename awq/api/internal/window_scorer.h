// WindowScorer: internal to api; runs models, and a reference beside them, over windows of tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "awq/api/internal/loading.h"
#include "awq/api/internal/scoring.h"
#include "awq/api/internal/windows.h"
#include "awq/base/threads.h"
#include "awq/nn/causal_lm.h"
#include "awq/nn/kv_pages.h"

namespace awq {

struct ScorerOptions {
  std::vector<std::filesystem::path> models;
  std::optional<std::filesystem::path> reference = {};
  int64_t window = 0;  // the longest, in tokens
  std::string device = "auto";
  std::string dtype = "auto";
  std::string kv_type = "auto";  // of the models' caches, not of the reference's
  int threads = 0;
  int head_bits = 16;  // of the models' heads, not of the reference's
};

class WindowScorer {
 public:
  // Loads everything. Throws as Evaluate().
  explicit WindowScorer(const ScorerOptions& options);

  // How many of the windows go through one forward pass; at least one.
  size_t BatchSize(std::span<const Window> windows) const;
  // Scores that many windows; `first` is the number of the first one, for messages.
  void Run(std::span<const Window> windows, size_t first);

  const Scores& scores(size_t model) const { return models_[model]->scores; }
  const Scores& reference_scores() const { return reference_->scores; }  // with a reference alone
  double seconds(size_t model) const { return models_[model]->seconds; }

 private:
  struct Runner {
    Runner(const std::filesystem::path& folder, Backend& on, DType act, DType kv_type,
           int64_t pages, int head_bits);
    int64_t vocab() const { return source.spec().vocab; }
    std::span<const float> Row(int64_t row) const;

    std::filesystem::path path;
    WeightSource source;
    CausalLm model;
    KvPages cache;
    Workspace scratch;
    ExecContext ctx;
    Scores scores;
    double seconds = 0;
    TensorView hidden;          // of the current batch
    std::vector<float> logits;  // of the current block
  };

  std::unique_ptr<Runner> Load(const std::filesystem::path& folder, DType act, DType kv_type,
                               int head_bits) const;
  void ScoreWindow(const Window& window, int64_t first_row, size_t index);
  void Forward(Runner& runner, const Batch& batch);
  void Logits(Runner& runner, int64_t first, int64_t rows);
  std::vector<RowSummary> SummarizeRows(const Runner& runner, int64_t rows, size_t window);
  void Score(Runner& runner, std::span<const int32_t> targets,
             std::span<const RowSummary> of_reference, size_t window);
  static void ScoreTargets(Runner& runner, std::span<const int32_t> targets,
                           std::span<const RowSummary> summaries);

  int64_t window_;
  std::unique_ptr<Backend> backend_;
  ThreadPool pool_;
  std::unique_ptr<Runner> reference_;
  std::vector<std::unique_ptr<Runner>> models_;
};

}  // namespace awq
