#include "awq/quant/layer_plan.h"

#include <algorithm>

#include "awq/quant/fisher/head_gradient.h"
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

// As written, or as f32 where nothing is rounded.
int64_t BytesOfCodes(const QuantScheme& scheme, int64_t n, int64_t k) {
  return scheme.bits == 16 ? kFloat * n * k : n * (k * scheme.bits / 8 + 3 * scheme.Groups(k));
}

}  // namespace

int64_t WeighedTokens(const PlanRequest& request) {
  if (request.blocks == 0) return 0;
  return request.tokens * request.method.WeighedBlocks(request.options, request.blocks) /
         request.blocks;
}

int64_t HeadOperandBytes(const PlanRequest& request) {
  const ModelSpec& model = request.source.spec();
  const HeadSlices slices;
  const int64_t rows =
      std::min({kPackedRows, WeighedTokens(request), slices.logits / (kFloat * model.vocab)});
  return rows * std::min(model.vocab * kFloat, slices.weight / model.hidden);
}

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
    if (s.site.expert < 0) widest_ = std::max({widest_, s.k, s.largest_n});
  }
  for (const LinearShape& l : QuantizableLinears(model_, layer)) {
    codes_ += BytesOfCodes(request.options.SchemeOf(layer, l.id), l.n, l.k);
  }
  piece_ = std::max(request.longest_block, PieceTokens(model_, layer));
  if (request.tokens == request.blocks * request.longest_block && request.blocks > 0) {
    piece_ -= piece_ % request.longest_block;  // whole blocks
  }
  piece_ = std::min(request.tokens, piece_);
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
  if (cost_.couplings == 0 || s.site.expert >= 0) return 0;
  int64_t out = 2 * s.largest_n * std::min(s.largest_n, kMetricColumns);
  for (const int64_t n : s.rows) out += n * std::min(n, kMetricColumns);
  return out * kFloat;
}

int64_t LayerPlan::CopyBytes(const SiteShape& s) const {
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
         std::max({scratch, std::min(kProductBytes, linear), JudgedBytes(s)});
}

int64_t LayerPlan::ProductBytes(const SiteShape& s, int64_t rows) const {
  return std::min(kProductBytes, rows * Block(s) * kFloat);
}

int64_t LayerPlan::CodeBytes(const SiteShape& s, int64_t rows) const {
  return BytesOfCodes(request_.options.SchemeOf(layer_, s.site), rows, s.k);
}

int64_t LayerPlan::JudgingBytes(const SiteShape& s) const {
  const int64_t linear = s.largest_n * s.k;
  const int64_t plain = linear * kFloat + CodeBytes(s, s.largest_n) + ProductBytes(s, s.largest_n);
  const int64_t rows =
      cost_.search_rows > 0 ? std::min(s.largest_n, cost_.search_rows) : s.largest_n;
  const auto sampled = static_cast<int64_t>(SearchedWeights(s)) * kFloat + JudgedBytes(s);
  return std::max(plain, sampled + rows * s.k * kFloat + ProductBytes(s, rows));
}

int64_t LayerPlan::RoundingBytes(const SiteShape& s) const {
  constexpr int64_t kCandidates = 10;  // of a clip, each with its error and its product
  const int64_t linear = s.largest_n * s.k;
  const int64_t group = request_.options.rule.scheme.GroupSize(s.k);
  const int64_t clip = std::min(cost_.scratch, 2 * kCandidates * s.largest_n * group * kFloat);
  const int64_t rounded =
      CodeBytes(s, s.largest_n) + linear * kFloat + ProductBytes(s, s.largest_n);
  return linear * kFloat + std::max(cost_.ranges > 0 ? clip : 0, rounded);
}

int64_t LayerPlan::ExpertWeights() const {
  int64_t out = 0;
  for (const SiteShape& s : sites_) {
    if (s.site.expert == 0) out += s.weights();
  }
  return out;
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
  const int64_t unread = 2 * moe.experts - moe.active;
  return std::min(piece_, piece_ * moe.active * unread / (moe.experts * moe.experts) + 1);
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
  int64_t packed = request_.method.FollowsPrefix() ? model_.hidden * PackedTokens() : 0;
  for (const SiteShape& s : sites_) {
    packed = std::max({packed, s.k * kPackedRows, Block(s) * PackedTokens()});
  }
  return request_.process_bytes + std::max(packed * kFloat, HeadOperandBytes(request_));
}

int64_t LayerPlan::CacheBytes() const {
  const auto& attention = model_.layers[static_cast<size_t>(layer_)].attention;
  const auto* gqa = std::get_if<GqaSpec>(&attention);
  const int64_t row = gqa != nullptr ? 2 * gqa->kv_heads * gqa->head_size
                                     : std::get<MlaSpec>(attention).latent_size();
  return piece_ * row * kFloat;
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
  // Of the first piece nothing is used twice: all that lies between linears is there at a time.
  int64_t row = 3 * model_.hidden;
  for (const SiteShape& s : sites_) {
    if (s.site.expert >= 0 && ByExpert()) continue;
    row += s.n;
    if (InputOf(s.site) != nullptr || s.site == Role::kSharedDown) row += s.k - s.n;
  }
  return piece_ * row * kFloat + CacheBytes();
}

int64_t LayerPlan::ReplayWorkspace() const {
  int64_t inner = 0;
  for (const SiteShape& s : sites_) {
    const SiteShape* input = InputOf(s.site);
    inner = std::max(inner, s.k + (input ? input->n : 0));
  }
  return piece_ * (2 * model_.hidden + inner) * kFloat + CacheBytes();
}

}  // namespace awq
