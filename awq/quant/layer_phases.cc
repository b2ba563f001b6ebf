// What LayerPlan has in memory, phase by phase.
#include <algorithm>

#include "awq/quant/fisher/metric_files.h"
#include "awq/quant/kept_rows.h"
#include "awq/quant/layer_plan.h"

namespace awq {
namespace {

constexpr int64_t kFloat = 4;
constexpr int64_t kStored = 2;  // bytes of a weight of the source in a prepared linear

}  // namespace

std::vector<Phase> LayerPlan::Phases() const {
  std::vector<Phase> out;
  const AddPhase add = [&](int64_t bytes, const std::string& what, int64_t kept) {
    out.push_back({what, bytes + Fixed(), std::min(kept, kKeptBytes)});
  };
  if (!request_.method.NeedsCalibration()) {
    for (const SiteShape& s : sites_) {  // one linear after the other
      add((1 + cost_.copies) * s.largest_n * s.k * kFloat + codes_,
          Cat(LinearName(s.site), ": weights"), 0);
    }
    return out;
  }
  if (request_.method.FollowsPrefix()) {
    const int64_t cache = CacheBytes();
    for (const SiteShape& s : sites_) {
      const bool keeps = s.site == Role::kO || s.site == Role::kDown;
      const int64_t kept = keeps ? request_.tokens * s.k * kFloat : 0;
      add(Moments(s) + ObservedDrift(s) + s.weights() * kFloat + InputPacks(s) +
              ObserveWorkspace(s) + cache,
          Cat(LinearName(s.site), ": activations and moments"), kept);
      add(Moments(s) + Matrices(s) + Metrics(s) + CopyBytes(s) + codes_ + cache,
          Cat(LinearName(s.site), ": moments and weights"), kept);
    }
    if (Experts() > 0) AddExpertStream(add);
    return out;
  }
  int64_t moments = 0;
  int64_t weights = 0;
  for (const SiteShape& s : sites_) {
    if (ByExpert() && s.site.expert >= 0) continue;
    moments += Moments(s);
    weights += s.weights();
  }
  add(moments + weights * kStored + ForwardWorkspace(), "forward pass: activations and moments", 0);
  if (request_.method.ReplaysInputs()) {
    AddReplayPhases(add);
    return out;
  }
  AddSearchPhases(add, -1);
  if (ByExpert()) AddExpertPhases(add);
  return out;
}

void LayerPlan::AddSearchPhases(const AddPhase& add, int64_t expert) const {
  int64_t moments = 0;  // held until the part is done
  int64_t weights = 0;  // in f32 until they are codes
  int64_t codes = expert < 0 ? 0 : codes_ + ExpertPacks() - ExpertWeights() * kStored;
  for (const SiteShape& s : sites_) {
    if (s.site.expert != expert) continue;
    moments += Moments(s);
    weights += s.weights();
  }
  for (const SiteShape& s : sites_) {
    if (s.site.expert != expert) continue;
    add(moments + weights * kFloat + JudgingBytes(s) + codes,
        Cat(LinearName(s.site), ": moments and search"), 0);
  }
  for (const SiteShape& s : sites_) {
    if (s.site.expert != expert) continue;
    add(moments + weights * kFloat + RoundingBytes(s) + codes,
        Cat(LinearName(s.site), ": moments and weights"), 0);
    weights -= s.weights();
    if (expert < 0) codes += CodeBytes(s, s.n);
  }
}

void LayerPlan::AddExpertPhases(const AddPhase& add) const {
  const auto& moe = std::get<MoeSpec>(ffn_);
  int64_t moments = 0;
  for (const SiteShape& s : sites_) {
    if (s.site.expert == 0) moments += Moments(s);
  }
  for (const SiteShape& s : sites_) {
    if (s.site != LinearId(Role::kExpertGate, 0)) continue;
    const int64_t beside = ExpertPacks() - ExpertWeights() * kStored + codes_;
    add(beside + moments + s.weights() * kStored + ExpertInputs(moe),
        Cat(LinearName(s.site), ": activations and moments"), 0);
  }
  AddSearchPhases(add, 0);
  AddExpertStream(add);
}

void LayerPlan::AddReplayPhases(const AddPhase& add) const {
  int64_t moments = 0;
  int64_t most = 0;  // of a site
  for (const SiteShape& s : sites_) {
    moments += Moments(s);
    most = std::max(most, s.weights());
  }
  // In f32, and prepared for two layers, the source's and one with a rounded site; what a part
  // reads and what it gives.
  const int64_t streams = 2 * request_.tokens * model_.hidden * kFloat;
  add(moments + (3 * weights_ + most) * kFloat + streams + ReplayWorkspace(),
      "losses of replayed parts", 0);
  for (const SiteShape& s : sites_) {
    add(moments + weights_ * kFloat + RoundingBytes(s) + codes_ + ReplayWorkspace(),
        Cat(LinearName(s.site), ": moments and weights"), 0);
  }
}

void LayerPlan::AddExpertStream(const AddPhase& add) const {
  const auto& moe = std::get<MoeSpec>(ffn_);
  add(ExpertPacks() + codes_ + ExpertWorkspace(moe), "expert after expert",
      request_.tokens * moe.active * model_.hidden * kFloat);
}

int64_t LayerPlan::GradientMemory() const {
  int64_t weights = 0;
  int64_t attention = 0;  // what is kept of a token: between its linears
  int64_t mixed = 0;
  int64_t ffn = 0;  // the gradient of what down reads, too
  const bool plain = std::holds_alternative<MlpSpec>(ffn_);
  for (const SiteShape& s : sites_) {
    if (s.site.expert >= 0) continue;
    weights += s.weights();
    if (s.site == Role::kO) {
      mixed = s.k;
    } else if (plain && (s.site == Role::kGate || s.site == Role::kDown)) {
      ffn += s.site == Role::kGate ? s.n : s.k;
    } else if (mixed == 0) {
      attention += s.n;
    }
  }
  const int64_t token =
      std::max(6 * model_.hidden + attention + ffn, 7 * model_.hidden + 2 * attention + mixed);
  int64_t out = weights * kFloat + MetricFiles::Bytes(model_, layer_) + piece_ * token * kFloat;
  if (const auto* moe = std::get_if<MoeSpec>(&ffn_)) {
    out = std::max(out, weights * kStored + ExpertPacks() + ExpertWorkspace(*moe));
  }
  // The products of the way back read what a linear gives.
  return request_.process_bytes + widest_ * kPackedRows * kFloat + CacheBytes() + out;
}

}  // namespace awq
