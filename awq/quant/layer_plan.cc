#include "awq/quant/layer_plan.h"

#include <algorithm>

#include "awq/quant/layer_runner.h"
#include "awq/quant/moments.h"
#include "awq/quant/output_metric.h"
#include "awq/quant/search_scale.h"

namespace awq {
namespace {

constexpr int64_t kFloat = 4;
constexpr int64_t kStored = 2;  // bytes of a weight of the source in a prepared linear

std::vector<SiteShape> SitesOf(const ModelSpec& model, int64_t layer) {
  std::vector<SiteShape> out;
  for (const LinearShape& l : LayerLinears(model, layer)) {
    auto it = std::find_if(out.begin(), out.end(),
                           [&](const SiteShape& s) { return s.site == SiteOf(l.id); });
    if (it == out.end()) it = out.insert(out.end(), SiteShape{SiteOf(l.id), l.k, 0, 0, {}});
    it->n += l.n;
    it->largest_n = std::max(it->largest_n, l.n);
    it->rows.push_back(l.n);
  }
  return out;
}

}  // namespace

LayerPlan::LayerPlan(const PlanRequest& request, int64_t layer, int64_t moment_columns)
    : request_(request),
      model_(request.source.spec()),
      layer_(layer),
      ffn_(model_.layers[static_cast<size_t>(layer)].ffn),
      sites_(SitesOf(model_, layer)),
      moment_columns_(moment_columns),
      cost_(request.method.Cost(request.options)) {
  for (const SiteShape& s : sites_) {
    weights_ += s.weights();
    widest_ = std::max({widest_, s.k, s.site.expert < 0 ? s.n : s.largest_n});
  }
  for (const LinearShape& l : QuantizableLinears(model_, layer)) {
    const QuantScheme scheme = request.options.SchemeOf(layer, l.id);
    codes_ += scheme.bits == 16 ? kFloat * l.n * l.k
                                : l.n * (l.k * scheme.bits / 8 + 3 * scheme.Groups(l.k));
  }
  piece_ = std::min(request.tokens, std::max(request.longest_block, PieceTokens(model_, layer)));
}

double LayerPlan::SearchedWeights(const SiteShape& s) const {
  double out = 0;
  if (s.site.role == Role::kExpertGate && s.site.expert % JudgeStep(Experts()) != 0) return 0;
  for (int64_t rows : s.rows) {
    if (cost_.search_rows > 0) rows = std::min(rows, cost_.search_rows);
    out += static_cast<double>(rows * s.k);
  }
  return out;
}

int64_t LayerPlan::Block(const SiteShape& s) const {
  return moment_columns_ > 0 ? std::min(s.k, moment_columns_) : s.k;
}

int64_t LayerPlan::Moments(const SiteShape& s) const {
  const int64_t gram = Block(s) * s.k * kFloat;
  const bool sampled = request_.method.SampleStride(request_.tokens) > 0;
  if (!request_.method.FollowsPrefix()) return gram * (sampled ? 2 : 1);
  // The drift of inputs [K, K], or of what o and down add to the stream [N, K].
  return gram + (s.site.expert < 0 && InputOf(s.site) ? s.weights() * kFloat : gram);
}

int64_t LayerPlan::Matrices(const SiteShape& s) const {
  return cost_.matrices * Block(s) * Block(s) * kFloat;
}

int64_t LayerPlan::Metrics(const SiteShape& s) const {
  if (cost_.couplings == 0) return 0;
  int64_t out = 2 * s.largest_n * std::min(s.largest_n, kMetricColumns);
  for (const int64_t n : s.rows) out += n * std::min(n, kMetricColumns);
  return out * kFloat;
}

int64_t LayerPlan::CopyBytes(const SiteShape& s) const {
  constexpr int64_t kProducts = int64_t{32} << 20;  // of a loss, at a time
  const int64_t linear = s.largest_n * s.k * kFloat;
  constexpr int64_t kCandidates = 14;  // of a range, each with its error and its product
  const int64_t group = request_.options.rule.scheme.GroupSize(s.k);
  const int64_t ranges = 2 * kCandidates * s.largest_n * group * kFloat;
  const int64_t scratch = cost_.ranges > 0 ? std::min(cost_.scratch, ranges) : 0;
  // Behind the prefix columns of a block are rounded apart, but errors are of whole linears.
  const int64_t copies = request_.method.FollowsPrefix()
                             ? std::max(cost_.copies * s.largest_n * Block(s) * kFloat, 2 * linear)
                             : cost_.copies * linear;
  return s.weights() * kFloat + copies +
         std::max({scratch, std::min(kProducts, linear), JudgedBytes(s)});
}

int64_t LayerPlan::Experts() const {
  const auto* moe = std::get_if<MoeSpec>(&ffn_);
  return moe == nullptr ? 0 : moe->experts;
}

bool LayerPlan::ByExpert() const {
  return Experts() > 0 && request_.method.NeedsCalibration() && !request_.method.ReplaysInputs();
}

int64_t LayerPlan::JudgedBytes(const SiteShape& s) const {
  if (s.site != Role::kRouter || cost_.searches == 0 || !ByExpert()) return 0;
  double out = 0;
  for (const SiteShape& e : sites_) {
    if (e.site.role == Role::kExpertGate) out += SearchedWeights(e);
  }
  return static_cast<int64_t>(out) * kFloat;
}

int64_t LayerPlan::InputPacks(const SiteShape& s) const {
  const SiteShape* input = InputOf(s.site);
  if (input == nullptr) return 0;
  const int64_t packs = input->weights() * kStored + input->weights() * 5 / 8;
  return packs + (s.site.expert < 0 ? s.weights() * kStored : 0);
}

int64_t LayerPlan::ObservedDrift(const SiteShape& s) const {
  return s.site.expert < 0 && InputOf(s.site) ? s.weights() * kFloat : 0;
}

int64_t LayerPlan::ExpertPacks() const {
  int64_t out = 0;
  for (const SiteShape& s : sites_) {
    const bool beside = s.site == Role::kRouter || s.site == Role::kSharedDown;
    if (beside || s.site.expert == 0) out += s.weights() * kStored;
  }
  return out;
}

int64_t LayerPlan::ExpertRows(const MoeSpec& moe) const {
  return std::min(piece_, (2 * piece_ * moe.active + moe.experts - 1) / moe.experts);
}

int64_t LayerPlan::ExpertInputs(const MoeSpec& moe) const {
  return ExpertRows(moe) * (model_.hidden + 3 * moe.size) * kFloat;
}

int64_t LayerPlan::ExpertWorkspace(const MoeSpec& moe) const {
  const int64_t rows = ExpertRows(moe);
  const int64_t sum =
      piece_ * ((2 + moe.active) * model_.hidden) +
      std::max(rows * model_.hidden, piece_ * (model_.hidden + 3 * moe.shared_size));
  return std::max(ExpertInputs(moe), sum * kFloat);
}

int64_t LayerPlan::Fixed() const {
  if (!request_.method.NeedsCalibration()) return request_.process_bytes;
  constexpr int64_t kPacked = 1024 + 256;  // rows of an operand, with room for growth
  return request_.process_bytes + widest_ * kPacked * kFloat;
}

const SiteShape* LayerPlan::InputOf(LinearId site) const {
  LinearId from = site;
  if (site == Role::kO) from = Role::kQ;
  if (site == Role::kDown) from = Role::kGate;
  if (site.role == Role::kExpertDown) from.role = Role::kExpertGate;
  if (from == site) return nullptr;
  for (const SiteShape& s : sites_) {
    if (s.site == from) return &s;
  }
  return nullptr;
}

int64_t LayerPlan::ObserveWorkspace(const SiteShape& s) const {
  const SiteShape* input = InputOf(s.site);
  const auto* moe = std::get_if<MoeSpec>(&ffn_);
  if (s.site.expert >= 0 && moe != nullptr) {
    return ExpertRows(*moe) * (2 * model_.hidden + (input ? 6 * moe->size : 0)) * kFloat;
  }
  return piece_ * (2 * s.k + (input ? 4 : 2) * model_.hidden + (input ? input->n : 0)) * kFloat;
}

int64_t LayerPlan::ForwardWorkspace() const {
  int64_t inner = 0;
  for (const SiteShape& s : sites_) {
    if (ByExpert() && s.site.expert >= 0) continue;
    const SiteShape* input = InputOf(s.site);
    inner = std::max(inner, s.k + (input ? input->n : 0));
  }
  return piece_ * (3 * model_.hidden + inner) * kFloat;
}

}  // namespace awq
