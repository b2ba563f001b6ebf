// The times of LayerPlan.
#include <algorithm>

#include "awq/quant/layer_plan.h"
#include "awq/quant/output_metric.h"
#include "awq/quant/search_scale.h"

namespace awq {
namespace {

constexpr double kCoupled = 4;  // time of steps on few rows at a time, in that of all at once

}  // namespace

double LayerPlan::GradientSeconds(const MachineSpeed& speed, double tokens) const {
  double out = 0;
  for (const SiteShape& s : sites_) {
    if (s.site.expert >= 0) continue;
    const double flops = 2 * static_cast<double>(s.weights()) * tokens;
    out += flops / speed.linear + 2 * flops / speed.product;
    for (const int64_t n : s.rows) {
      out += static_cast<double>(n * std::min(n, kMetricColumns)) * tokens / speed.gram;
    }
    constexpr double kPasses = 20;  // over what goes in and out
    out += kPasses * tokens * static_cast<double>(s.k + s.n) / speed.weights;
  }
  return out + 6 * AttentionFlops() * tokens / static_cast<double>(request_.tokens) / speed.linear;
}

double LayerPlan::Seconds(const MachineSpeed& speed) const {
  const auto weights = static_cast<double>(weights_);
  // Codes are packed and written; errors of plain rounding and of the result take them apart.
  const double decoded = request_.method.NeedsCalibration() ? 2.5 : 1.5;
  return ForwardSeconds(speed) + ProductFlops() / speed.product + SolveFlops() / speed.solve +
         (SearchPasses() + (1 + cost_.passes) * weights) / speed.weights +
         decoded * weights / speed.decoded + cost_.ranges * weights * RangeSeconds(speed) +
         (cost_.couplings > 0 ? kCoupled : 1) * cost_.descents * weights / speed.descents;
}

double LayerPlan::ForwardSeconds(const MachineSpeed& speed) const {
  if (!request_.method.NeedsCalibration()) return 0;
  const bool follows = request_.method.FollowsPrefix();
  constexpr double kPasses = 2;  // over what goes in and out, as long as rounding it
  const double streams = follows ? 2 : 1;
  double out = 0;
  for (const SiteShape& s : sites_) {
    const double tokens = TokensOf(s);
    out += kPasses * streams * tokens * static_cast<double>(s.k + s.n) / speed.weights;
    const auto k = static_cast<double>(s.k);
    const double flops = 2 * static_cast<double>(s.weights()) * tokens;
    // One by one, experts are observed before they are run.
    const bool again = !follows && ByExpert() && s.site.role == Role::kExpertGate;
    out += (again ? 2 : 1) * flops / speed.linear + (follows ? flops / speed.quantized : 0);
    double gram = k * Columns(s) * tokens;  // the upper half
    if (follows) gram += 2 * tokens * (InputOf(s.site) ? flops / 2 / tokens : k * Columns(s));
    out += gram / speed.gram;
  }
  return out + streams * AttentionFlops() / speed.linear;
}

double LayerPlan::TokensOf(const SiteShape& s) const {
  const auto tokens = static_cast<double>(request_.tokens);
  const auto* moe = std::get_if<MoeSpec>(&ffn_);
  if (s.site.expert < 0 || moe == nullptr) return tokens;
  return tokens * static_cast<double>(moe->active) / static_cast<double>(moe->experts);
}

double LayerPlan::AttentionFlops() const {
  for (const SiteShape& s : sites_) {
    if (s.site != Role::kO) continue;
    return 3 * 2 * static_cast<double>(request_.tokens) *
           static_cast<double>(request_.longest_block) * static_cast<double>(s.k);
  }
  return 0;
}

double LayerPlan::ProductFlops() const {
  double out = 0;
  for (const SiteShape& s : sites_) {
    out += cost_.products * 2 * static_cast<double>(s.weights()) * Columns(s);
    out += cost_.searches * 2 * SearchedWeights(s) * Columns(s);
    for (const int64_t n : s.rows) {
      const auto width = static_cast<double>(std::min(n, kMetricColumns));
      out += kCoupled * cost_.couplings * 2 * static_cast<double>(n * s.k) * width;
    }
  }
  return out;
}

double LayerPlan::SolveFlops() const {
  if (!request_.method.FollowsPrefix()) return 0;
  double out = 0;
  for (const SiteShape& s : sites_) {
    out += static_cast<double>(s.k) * Columns(s) * Columns(s) / 3;
    out += 2 * static_cast<double>(s.weights()) * Columns(s);
  }
  return out;
}

double LayerPlan::SearchPasses() const {
  double out = 0;
  for (const SiteShape& s : sites_) out += cost_.searches * SearchedWeights(s);
  return out;
}

double LayerPlan::RangeSeconds(const MachineSpeed& speed) const {
  constexpr double kCandidates = 3 * 14;
  constexpr double kMeasured = 128;
  const double rounding = std::min(kCandidates / speed.weights, 1 / speed.ranges);
  const int64_t group = request_.options.rule.scheme.group;
  const auto width = static_cast<double>(group < 0 ? model_.hidden : group);
  return rounding + (1 / speed.ranges - rounding) * width / kMeasured;
}

}  // namespace awq
