// LayerPlan: what one layer takes of memory and of time, for QuantPlan.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "awq/quant/plan.h"

namespace awq {

// Rows of a product's operand that the backend packs at a time.
inline constexpr int64_t kPackedRows = 720;

// Linears that read one input.
struct SiteShape {
  LinearId site;
  int64_t k = 0;
  int64_t n = 0;              // rows of all its linears
  int64_t largest_n = 0;      // of one
  std::vector<int64_t> rows;  // of each
  int64_t weights() const { return n * k; }
};

// Something that a layer does, and what is in memory meanwhile: apart from rows that are kept,
// which may be in a file instead.
struct Phase {
  std::string what;
  int64_t bytes = 0;
  int64_t kept = 0;
};

// Of calibration, that are run backwards.
int64_t WeighedTokens(const PlanRequest& request);
// What the backend packs for the pass back through the head, and keeps; 0 without one.
int64_t HeadOperandBytes(const PlanRequest& request);

// Under one choice of moment blocks.
class LayerPlan {
 public:
  LayerPlan(const PlanRequest& request, int64_t layer, int64_t moment_columns);

  std::vector<Phase> Phases() const;
  // Of the pass forward and back for the metrics, over so many tokens.
  int64_t GradientMemory() const;
  double GradientSeconds(const MachineSpeed& speed, double tokens) const;
  double Seconds(const MachineSpeed& speed) const;

 private:
  using AddPhase = std::function<void(int64_t bytes, const std::string& what, int64_t kept)>;
  // Of a method without a prefix, which searches scales of all linears, then rounds one by one:
  // those of one routed expert, or -1: all others.
  void AddSearchPhases(const AddPhase& add, int64_t expert) const;
  // Of one that replays parts of the layer with all its linears loaded.
  void AddReplayPhases(const AddPhase& add) const;
  // Of a method without a prefix, from the moments of an expert to its codes.
  void AddExpertPhases(const AddPhase& add) const;
  // A stream passes all experts.
  void AddExpertStream(const AddPhase& add) const;
  // Of the forward passes and the sums of moments.
  double ForwardSeconds(const MachineSpeed& speed) const;
  // An expert reads its share of them.
  double TokensOf(const SiteShape& s) const;
  // Scores and sums of values, causal; at about a third of the speed of products.
  double AttentionFlops() const;
  double ProductFlops() const;
  // Behind the prefix: the factor of the moments, and the correction of each linear's target.
  double SolveFlops() const;
  // Weights rounded by the searches.
  double SearchPasses() const;
  // Of a weight: every candidate is rounded, then multiplied with a block as wide as the group.
  double RangeSeconds(const MachineSpeed& speed) const;
  // Of the rows that the searches of scales look at.
  double SearchedWeights(const SiteShape& s) const;
  double Columns(const SiteShape& s) const { return static_cast<double>(Block(s)); }
  int64_t Block(const SiteShape& s) const;
  // Of the moments that are held at a time for one site.
  int64_t Moments(const SiteShape& s) const;
  int64_t Matrices(const SiteShape& s) const;
  int64_t Metrics(const SiteShape& s) const;
  int64_t CopyBytes(const SiteShape& s) const;
  // Of plain rounding before a search, and of the search.
  int64_t JudgingBytes(const SiteShape& s) const;
  // Of one linear, clipped and rounded, beside it.
  int64_t RoundingBytes(const SiteShape& s) const;
  // Products of so many rows with the moments, at a time.
  int64_t ProductBytes(const SiteShape& s, int64_t rows) const;
  // As written, of so many rows of a linear.
  int64_t CodeBytes(const SiteShape& s, int64_t rows) const;
  int64_t ExpertWeights() const;  // of one
  int64_t Experts() const;
  // Whether routed experts are in memory one at a time.
  bool ByExpert() const;
  // Rows of experts by which the scale of the norm before them is judged.
  int64_t JudgedBytes(const SiteShape& s) const;
  // Of the linears that compute what the site reads, in both models.
  int64_t InputPacks(const SiteShape& s) const;
  // The drift of what ends in the stream is there twice for a moment.
  int64_t ObservedDrift(const SiteShape& s) const;
  // One expert's linears, and those that all tokens read beside them.
  int64_t ExpertPacks() const;
  // Rows of a piece that an expert reads: up to twice its share, as a guess, the less the larger
  // that is.
  int64_t ExpertRows(const MoeSpec& moe) const;
  // What it reads, and what lies between it and down.
  int64_t ExpertInputs(const MoeSpec& moe) const;
  int64_t ExpertWorkspace(const MoeSpec& moe) const;
  // The process, and what the backend keeps between calls.
  int64_t Fixed() const;
  int64_t PackedTokens() const { return std::min<int64_t>(piece_, 1024); }  // of a sum of moments
  // Keys and values of a piece.
  int64_t CacheBytes() const;
  const SiteShape* InputOf(LinearId site) const;
  int64_t ObserveWorkspace(const SiteShape& s) const;
  int64_t ForwardWorkspace() const;
  // When a part of the layer is run again.
  int64_t ReplayWorkspace() const;

  const PlanRequest& request_;
  const ModelSpec& model_;
  int64_t layer_;
  const std::variant<MlpSpec, MoeSpec>& ffn_;
  std::vector<SiteShape> sites_;
  int64_t moment_columns_;
  MethodCost cost_;
  int64_t weights_ = 0;
  int64_t codes_ = 0;  // bytes of the whole layer, as written
  int64_t widest_ = 0;
  int64_t piece_ = 0;
};

}  // namespace awq
