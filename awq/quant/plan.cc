#include "awq/quant/plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <variant>

#include "awq/quant/fisher/fisher_pass.h"
#include "awq/quant/fisher/head_gradient.h"
#include "awq/quant/kept_rows.h"
#include "awq/quant/output_metric.h"
#include "awq/quant/pipeline.h"
#include "awq/quant/search_scale.h"

namespace awq {
namespace {

constexpr int64_t kFloat = 4;
constexpr double kCoupled = 4;  // time of steps on few rows at a time, in that of all at once
constexpr int64_t kStored = 2;  // bytes of a weight of the source in a prepared linear

struct SiteShape {
  LinearId site;
  int64_t k = 0;
  int64_t n = 0;              // rows of all its linears
  int64_t largest_n = 0;      // of one
  std::vector<int64_t> rows;  // of each
  int64_t weights() const { return n * k; }
};

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

// Something that a layer does, and what is in memory meanwhile: apart from rows that are kept,
// which may be in a file instead.
struct Phase {
  std::string what;
  int64_t bytes = 0;
  int64_t kept = 0;
};

// One layer under one choice of moment blocks.
class LayerPlan {
 public:
  LayerPlan(const PlanRequest& request, int64_t layer, int64_t moment_columns)
      : request_(request),
        model_(request.source.spec()),
        layer_(layer),
        ffn_(model_.layers[static_cast<size_t>(layer)].ffn),
        sites_(SitesOf(model_, layer)),
        moment_columns_(moment_columns),
        cost_(request.method.Cost(request.options)) {
    for (const SiteShape& s : sites_) {
      weights_ += s.weights();
      widest_ = std::max({widest_, s.k, s.n});
    }
    piece_ = std::min(request.tokens, std::max(request.longest_block, PieceTokens(model_, layer)));
  }

  std::vector<Phase> Phases() const {
    std::vector<Phase> out;
    const auto add = [&](int64_t bytes, const std::string& what, int64_t kept = 0) {
      out.push_back({what, bytes + Fixed(), std::min(kept, kKeptBytes)});
    };
    const int64_t codes = weights_ * 5 / 8;
    if (!request_.method.NeedsCalibration()) {
      for (const SiteShape& s : sites_) {  // one linear after the other
        add((1 + cost_.copies) * s.largest_n * s.k * kFloat + codes,
            Cat(LinearName(s.site), ": weights"));
      }
      return out;
    }
    if (request_.method.FollowsPrefix()) {
      for (const SiteShape& s : sites_) {
        const bool keeps = s.site == Role::kO || s.site == Role::kDown;
        const int64_t kept = keeps ? request_.tokens * s.k * kFloat : 0;
        add(Moments(s) + ObservedDrift(s) + s.weights() * kFloat + InputPacks(s) +
                ObserveWorkspace(s),
            Cat(LinearName(s.site), ": activations and moments"), kept);
        add(Moments(s) + Matrices(s) + Metrics(s) + CopyBytes(s) + codes,
            Cat(LinearName(s.site), ": moments and weights"), kept);
      }
      if (const auto* moe = std::get_if<MoeSpec>(&ffn_)) {
        add(ExpertPacks() + codes + ExpertWorkspace(*moe), "expert after expert",
            request_.tokens * moe->active * model_.hidden * kFloat);
      }
      return out;
    }
    int64_t all_moments = 0;
    for (const SiteShape& s : sites_) all_moments += Moments(s);
    add(all_moments + weights_ * kStored + ForwardWorkspace(),
        "forward pass: activations and moments");
    for (const SiteShape& s : sites_) {
      add(all_moments + Matrices(s) + (weights_ - s.weights()) * kFloat + CopyBytes(s) + codes,
          Cat(LinearName(s.site), ": moments and weights"));
    }
    return out;
  }

  // Of the pass forward and back for the metrics, over so many tokens.
  int64_t GradientMemory() const {
    int64_t outputs = 0;
    int64_t weights = 0;
    for (const SiteShape& s : sites_) {
      if (s.site.expert >= 0) continue;
      outputs += s.n;
      weights += s.weights();
    }
    const int64_t workspace = piece_ * (10 * model_.hidden + 3 * outputs) * kFloat;
    int64_t out = weights * kFloat + MetricFiles::Bytes(model_, layer_) + workspace;
    if (const auto* moe = std::get_if<MoeSpec>(&ffn_)) {
      out = std::max(out, weights * kStored + ExpertPacks() + ExpertWorkspace(*moe));
    }
    return Fixed() + out;
  }
  double GradientSeconds(const MachineSpeed& speed, double tokens) const {
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
    return out +
           6 * AttentionFlops() * tokens / static_cast<double>(request_.tokens) / speed.linear;
  }

  double Seconds(const MachineSpeed& speed) const {
    const auto weights = static_cast<double>(weights_);
    // Codes are packed and written; errors of plain rounding and of the result take them apart.
    const double decoded = request_.method.NeedsCalibration() ? 2.5 : 1.5;
    return ForwardSeconds(speed) + ProductFlops() / speed.product + SolveFlops() / speed.solve +
           (SearchPasses() + (1 + cost_.passes) * weights) / speed.weights +
           decoded * weights / speed.decoded + cost_.ranges * weights * RangeSeconds(speed) +
           (cost_.couplings > 0 ? kCoupled : 1) * cost_.descents * weights / speed.descents;
  }

 private:
  // Of the forward passes and the sums of moments.
  double ForwardSeconds(const MachineSpeed& speed) const {
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
      out += flops / speed.linear + (follows ? flops / speed.quantized : 0);
      double gram = k * Columns(s) * tokens;  // the upper half
      if (follows) gram += 2 * tokens * (InputOf(s.site) ? flops / 2 / tokens : k * Columns(s));
      out += gram / speed.gram;
    }
    return out + streams * AttentionFlops() / speed.linear;
  }
  // An expert reads its share of them.
  double TokensOf(const SiteShape& s) const {
    const auto tokens = static_cast<double>(request_.tokens);
    const auto* moe = std::get_if<MoeSpec>(&ffn_);
    if (s.site.expert < 0 || moe == nullptr) return tokens;
    return tokens * static_cast<double>(moe->active) / static_cast<double>(moe->experts);
  }
  // Scores and sums of values, causal; at about a third of the speed of products.
  double AttentionFlops() const {
    for (const SiteShape& s : sites_) {
      if (s.site != Role::kO) continue;
      return 3 * 2 * static_cast<double>(request_.tokens) *
             static_cast<double>(request_.longest_block) * static_cast<double>(s.k);
    }
    return 0;
  }
  double ProductFlops() const {
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
  // Behind the prefix: the factor of the moments, and the correction of each linear's target.
  double SolveFlops() const {
    if (!request_.method.FollowsPrefix()) return 0;
    double out = 0;
    for (const SiteShape& s : sites_) {
      out += static_cast<double>(s.k) * Columns(s) * Columns(s) / 3;
      out += 2 * static_cast<double>(s.weights()) * Columns(s);
    }
    return out;
  }
  // Weights rounded by the searches.
  double SearchPasses() const {
    double out = 0;
    for (const SiteShape& s : sites_) out += cost_.searches * SearchedWeights(s);
    return out;
  }
  double SearchedWeights(const SiteShape& s) const {
    double out = 0;
    if (s.site.role == Role::kExpertGate && s.site.expert % JudgeStep(Experts()) != 0) return 0;
    for (int64_t rows : s.rows) {
      if (cost_.search_rows > 0) rows = std::min(rows, cost_.search_rows);
      out += static_cast<double>(rows * s.k);
    }
    return out;
  }
  // Of a weight: every candidate is rounded, then multiplied with a block as wide as the group.
  double RangeSeconds(const MachineSpeed& speed) const {
    constexpr double kCandidates = 3 * 14;
    constexpr double kMeasured = 128;
    const double rounding = std::min(kCandidates / speed.weights, 1 / speed.ranges);
    const int64_t group = request_.options.rule.scheme.group;
    const auto width = static_cast<double>(group < 0 ? model_.hidden : group);
    return rounding + (1 / speed.ranges - rounding) * width / kMeasured;
  }
  double Columns(const SiteShape& s) const { return static_cast<double>(Block(s)); }
  int64_t Block(const SiteShape& s) const {
    return moment_columns_ > 0 ? std::min(s.k, moment_columns_) : s.k;
  }
  // Of the moments that are held at a time for one site.
  int64_t Moments(const SiteShape& s) const {
    const int64_t gram = Block(s) * s.k * kFloat;
    const bool sampled = request_.method.SampleStride(request_.tokens) > 0;
    if (!request_.method.FollowsPrefix()) return gram * (sampled ? 2 : 1);
    // The drift of inputs [K, K], or of what o and down add to the stream [N, K].
    return gram + (s.site.expert < 0 && InputOf(s.site) ? s.weights() * kFloat : gram);
  }
  int64_t Matrices(const SiteShape& s) const {
    return cost_.matrices * Block(s) * Block(s) * kFloat;
  }
  int64_t Metrics(const SiteShape& s) const {
    if (cost_.couplings == 0) return 0;
    int64_t out = 2 * s.largest_n * std::min(s.largest_n, kMetricColumns);
    for (const int64_t n : s.rows) out += n * std::min(n, kMetricColumns);
    return out * kFloat;
  }
  int64_t CopyBytes(const SiteShape& s) const {
    constexpr int64_t kProducts = int64_t{32} << 20;  // of a loss, at a time
    const int64_t linear = s.largest_n * s.k * kFloat;
    const int64_t scratch = cost_.ranges > 0 ? cost_.scratch : 0;
    return s.weights() * kFloat + cost_.copies * linear +
           std::max({scratch, std::min(kProducts, linear), JudgedBytes(s)});
  }
  int64_t Experts() const {
    const auto* moe = std::get_if<MoeSpec>(&ffn_);
    return moe == nullptr ? 0 : moe->experts;
  }
  // Rows of experts by which the scale of the norm before them is judged.
  int64_t JudgedBytes(const SiteShape& s) const {
    if (s.site != Role::kRouter || cost_.searches == 0 || !request_.method.FollowsPrefix()) {
      return 0;
    }
    double out = 0;
    for (const SiteShape& e : sites_) {
      if (e.site.role == Role::kExpertGate) out += SearchedWeights(e);
    }
    return static_cast<int64_t>(out) * kFloat;
  }
  // Of the linears that compute what the site reads, in both models.
  int64_t InputPacks(const SiteShape& s) const {
    const SiteShape* input = InputOf(s.site);
    if (input == nullptr) return 0;
    const int64_t packs = input->weights() * kStored + input->weights() * 5 / 8;
    return packs + (s.site.expert < 0 ? s.weights() * kStored : 0);
  }
  // The drift of what ends in the stream is there twice for a moment.
  int64_t ObservedDrift(const SiteShape& s) const {
    return s.site.expert < 0 && InputOf(s.site) ? s.weights() * kFloat : 0;
  }
  // One expert's linears, and those that all tokens read beside them.
  int64_t ExpertPacks() const {
    int64_t out = 0;
    for (const SiteShape& s : sites_) {
      const bool beside = s.site == Role::kRouter || s.site == Role::kSharedDown;
      if (beside || s.site.expert == 0) out += s.weights() * kStored;
    }
    return out;
  }
  // Rows of a piece that an expert reads: twice its share at most, as a guess.
  int64_t ExpertRows(const MoeSpec& moe) const {
    return std::min(piece_, (2 * piece_ * moe.active + moe.experts - 1) / moe.experts);
  }
  int64_t ExpertWorkspace(const MoeSpec& moe) const {
    const int64_t rows = ExpertRows(moe);
    const int64_t one = rows * (model_.hidden + 3 * moe.size);
    const int64_t sum =
        piece_ * ((2 + moe.active) * model_.hidden) +
        std::max(rows * model_.hidden, piece_ * (model_.hidden + 3 * moe.shared_size));
    return std::max(one, sum) * kFloat;
  }
  // The process, and what the backend keeps between calls.
  int64_t Fixed() const {
    if (!request_.method.NeedsCalibration()) return request_.process_bytes;
    constexpr int64_t kPacked = 1024 + 256;  // rows of an operand, with room for growth
    return request_.process_bytes + widest_ * kPacked * kFloat;
  }
  const SiteShape* InputOf(LinearId site) const {
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
  int64_t ObserveWorkspace(const SiteShape& s) const {
    const SiteShape* input = InputOf(s.site);
    const auto* moe = std::get_if<MoeSpec>(&ffn_);
    if (s.site.expert >= 0 && moe != nullptr) {
      return ExpertRows(*moe) * (2 * model_.hidden + (input ? 6 * moe->size : 0)) * kFloat;
    }
    return piece_ * (2 * s.k + (input ? 4 : 2) * model_.hidden + (input ? input->n : 0)) * kFloat;
  }
  int64_t ForwardWorkspace() const {
    int64_t inner = 0;
    for (const SiteShape& s : sites_) {
      const SiteShape* input = InputOf(s.site);
      inner = std::max(inner, s.k + (input ? input->n : 0));
    }
    return piece_ * (3 * model_.hidden + inner) * kFloat;
  }

  const PlanRequest& request_;
  const ModelSpec& model_;
  int64_t layer_;
  const std::variant<MlpSpec, MoeSpec>& ffn_;
  std::vector<SiteShape> sites_;
  int64_t moment_columns_;
  MethodCost cost_;
  int64_t weights_ = 0;
  int64_t widest_ = 0;
  int64_t piece_ = 0;
};

// The layers, with so many bytes of kept rows in memory.
std::vector<PlanUnit> Layers(const PlanRequest& request, const MachineSpeed* speed,
                             int64_t moment_columns, int64_t kept_memory) {
  std::vector<PlanUnit> out;
  for (int64_t i = 0; i < request.source.spec().num_layers(); ++i) {
    const LayerPlan plan(request, i, moment_columns);
    PlanUnit unit{.name = Cat("layer ", i + 1), .seconds = 0, .memory = 0, .largest = {}};
    for (const Phase& phase : plan.Phases()) {
      const int64_t memory = phase.bytes + std::min(phase.kept, kept_memory);
      if (memory <= unit.memory) continue;
      unit.memory = memory;
      unit.largest = phase.what;
    }
    if (speed != nullptr) unit.seconds = plan.Seconds(*speed);
    out.push_back(std::move(unit));
  }
  return out;
}

// Decides how much of the rows that are kept stays in memory: all, or what the limit leaves.
void PlanKept(const PlanRequest& request, QuantPlan& plan) {
  std::vector<Phase> phases;
  for (int64_t i = 0; i < request.source.spec().num_layers(); ++i) {
    for (Phase& p : LayerPlan(request, i, plan.moment_columns).Phases())
      phases.push_back(std::move(p));
  }
  int64_t most = 0;
  for (const Phase& p : phases) most = std::max(most, p.kept);
  plan.kept_memory = most;
  for (const Phase& p : phases) {
    const int64_t room = request.memory_limit - p.bytes;
    if (request.memory_limit > 0 && p.kept > room) {
      plan.kept_memory = std::min(plan.kept_memory, room);
    }
  }
  plan.kept_bytes = most - plan.kept_memory;
}

int64_t WeighedTokens(const PlanRequest& request) {
  if (request.blocks == 0) return 0;
  return request.tokens * request.method.WeighedBlocks(request.options, request.blocks) /
         request.blocks;
}

// The pass before the first layer; its memory is 0 where there is none.
PlanUnit Gradients(const PlanRequest& request, const MachineSpeed* speed) {
  PlanUnit out{
      .name = "gradients", .seconds = 0, .memory = 0, .largest = "weights and activations"};
  const auto tokens = static_cast<double>(WeighedTokens(request));
  if (tokens == 0) return out;
  const ModelSpec& model = request.source.spec();
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    const LayerPlan plan(request, i, 0);
    out.memory = std::max(out.memory, plan.GradientMemory());
    if (speed != nullptr) out.seconds += plan.GradientSeconds(*speed, tokens);
  }
  const HeadSlices slices;
  const int64_t rows = std::min<int64_t>(request.tokens, PieceTokens(model, 0));
  const int64_t logits = std::min(slices.logits, rows * model.vocab * kFloat);
  const int64_t weight = std::min(slices.weight, model.vocab * model.hidden * kFloat);
  const int64_t streams = 3 * rows * model.hidden * kFloat;
  out.memory = std::max(out.memory, request.process_bytes + 2 * (logits + weight) + streams);
  const double head = 4 * static_cast<double>(model.vocab * model.hidden) * tokens;
  if (speed != nullptr) {
    constexpr double kPasses = 4;  // over the logits
    out.seconds += head / speed->product +
                   kPasses * tokens * static_cast<double>(model.vocab) / speed->weights;
  }
  return out;
}

int64_t Largest(const std::vector<PlanUnit>& units) {
  int64_t out = 0;
  for (const PlanUnit& u : units) out = std::max(out, u.memory);
  return out;
}

int64_t WidestInput(const ModelSpec& model) {
  int64_t out = 0;
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    for (const LinearShape& l : LayerLinears(model, i)) out = std::max(out, l.k);
  }
  return out;
}

// Columns of blocks that moments may be cut into, widest first: whole groups, at least 512.
std::vector<int64_t> BlockChoices(const PlanRequest& request) {
  const int64_t group = request.options.rule.scheme.group;
  if (!request.method.NeedsCalibration() || request.method.ReplaysInputs() || group < 0) return {};
  constexpr int64_t kLeast = 512;
  std::vector<int64_t> out;
  const int64_t widest = WidestInput(request.source.spec());
  for (int64_t pieces = 2; widest / pieces >= kLeast; ++pieces) {
    out.push_back((widest / pieces + kLeast / 4 - 1) / (kLeast / 4) * (kLeast / 4));
  }
  return out;
}

void PlanDisk(const PlanRequest& request, QuantPlan& plan) {
  const WeightSource& source = request.source;
  const ModelSpec& model = source.spec();
  std::set<std::string> quantized;
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    for (const LinearShape& l : QuantizableLinears(model, i)) {
      const QuantScheme scheme = request.options.SchemeOf(i, l.id);
      plan.output_bytes += scheme.bits == 16 ? 2 * l.n * l.k : PackedBytes(scheme, l.n, l.k);
      quantized.insert(source.SourceOf(l.id, i));
    }
  }
  int64_t rest = 0;
  for (const std::string& name : source.checkpoint().Names()) {
    if (!quantized.contains(name)) rest += source.checkpoint().Get(name).view().NumBytes();
  }
  const int64_t layers_bytes = plan.output_bytes;
  plan.output_bytes += rest;
  if (request.method.NeedsCalibration()) {
    const int64_t streams = request.method.FollowsPrefix() ? 2 : 1;
    plan.stream_bytes = 2 * streams * request.tokens * model.hidden * kFloat;
  }
  int64_t run = 0;  // of the pass back, before anything is written
  if (const int64_t tokens = WeighedTokens(request); tokens > 0) {
    for (int64_t i = 0; i < model.num_layers(); ++i) {
      plan.metric_bytes += 2 * MetricFiles::Bytes(model, i);  // two versions
    }
    run = plan.metric_bytes + std::min(tokens, FisherTokensAtOnce(model) + request.longest_block) *
                                  kFloat * model.hidden * (model.num_layers() + 3);
  }
  const int64_t finishing = plan.output_bytes + std::min(request.shard_bytes, plan.output_bytes);
  plan.disk = std::max({plan.stream_bytes + plan.kept_bytes + plan.metric_bytes + layers_bytes,
                        plan.stream_bytes + run, finishing});
}

}  // namespace

int64_t PackedBytes(const QuantScheme& scheme, int64_t n, int64_t k) {
  const int64_t groups = n * scheme.Groups(k);
  return n * k * scheme.bits / 8 + groups * 2 + (scheme.symmetric ? 0 : groups * scheme.bits / 8);
}

QuantPlan MakePlan(const PlanRequest& request, const MachineSpeed* speed) {
  QuantPlan plan;
  plan.units = Layers(request, speed, 0, 0);
  const int64_t limit = request.memory_limit;
  const PlanUnit gradients = Gradients(request, speed);
  plan.memory = plan.whole_memory = std::max(Largest(plan.units), gradients.memory);
  for (const int64_t columns : BlockChoices(request)) {
    if (limit == 0 || plan.memory <= limit) break;
    plan.units = Layers(request, speed, columns, 0);
    plan.memory = std::max(Largest(plan.units), gradients.memory);
    plan.moment_columns = columns;
  }
  const auto megabytes = [](int64_t bytes) { return (bytes + 999999) / 1000000; };
  AWQ_CHECK(limit == 0 || plan.memory <= limit, kInvalidArgument, "--memory-limit ",
            megabytes(limit), "MB is too little for this model, method and calibration; ",
            "--memory-limit ", megabytes(plan.memory), "MB will do");
  PlanKept(request, plan);
  if (plan.kept_memory > 0) {
    plan.units = Layers(request, speed, plan.moment_columns, plan.kept_memory);
    plan.memory = std::max(Largest(plan.units), gradients.memory);
  }
  if (gradients.memory > 0) plan.units.insert(plan.units.begin(), gradients);
  PlanDisk(request, plan);
  PlanUnit rest;
  rest.name = "what is not quantized";
  plan.units.push_back(std::move(rest));
  for (const PlanUnit& u : plan.units) plan.seconds += u.seconds;
  return plan;
}

}  // namespace awq
