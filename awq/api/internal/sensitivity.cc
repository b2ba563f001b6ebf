#include "awq/api/internal/sensitivity.h"

#include <algorithm>
#include <map>
#include <span>

#include "awq/api/internal/layer_stream.h"
#include "awq/api/internal/scoring.h"
#include "awq/api/internal/search_stream.h"
#include "awq/api/internal/sensitivity_size.h"
#include "awq/quant/grid.h"
#include "awq/quant/layer_weights.h"
#include "awq/quant/moments.h"

namespace awq {
namespace {

// A site in a third of the layers.
using Group = std::pair<Role, int64_t>;
// Which sites of a layer are rounded.
using Rounds = std::function<bool(Role)>;

// Linears of a layer that read one input; those of all experts together.
struct Site {
  size_t set = 0;      // in sets_
  double linears = 0;  // how many
};
using Sites = std::map<Role, Site>;

class Sensitivity {
 public:
  explicit Sensitivity(const SensitivityJob& job)
      : job_(job),
        kept_(job.backend, kKeptBytes, 0, job.work / "kept"),
        context_{job.backend, job.source, job.work, job.poll, kept_},
        error_blocks_(ErrorBlocks(job.blocks)),
        divergence_blocks_(DivergenceBlocks(job.blocks)) {
    std::filesystem::create_directories(job.work);
  }
  ~Sensitivity() {
    std::error_code ignored;
    std::filesystem::remove_all(job_.work, ignored);
  }

  std::vector<BudgetSet> Run() {
    SearchStream calibration(context_, error_blocks_, "errors");
    SearchStream source(context_, divergence_blocks_, "source");
    SearchStream all(context_, divergence_blocks_, "all");
    std::map<Group, SearchStream> groups;
    const int64_t layers = job_.source.spec().num_layers();
    for (int64_t i = 0; i < layers; ++i) {
      const LayerParams params = job_.source.Layer(i);
      const int64_t third = i * kSearchThirds / layers;
      const Sites sites = AddSets(i);
      for (const auto& [role, site] : sites) {
        const Group group{role, third};
        group_of_.push_back(group);
        groups.try_emplace(group, source, Cat("group", groups.size()));
      }
      MeasureErrors(i, params, sites, calibration);
      const LayerParams rounded = RoundedDense(i, params, sites);
      for (auto& [group, stream] : groups) {
        const bool now = group.second == third;
        Advance(i, params, rounded, sites, stream,
                [now, role = group.first](Role r) { return now && r == role; });
      }
      Advance(i, params, rounded, sites, source, [](Role) { return false; });
      Advance(i, params, rounded, sites, all, [](Role) { return true; });
      LayerWeights(job_.source, i).Release();
      if (job_.progress) job_.progress(static_cast<double>(i + 1) / static_cast<double>(layers));
    }
    const auto ends = LoadEnds(job_.backend, job_.source);
    std::map<Group, double> cost;
    double sum = 0;
    for (auto& [group, stream] : groups) sum += cost[group] = Divergence(*ends, source, stream);
    const double scale = sum > 0 ? Divergence(*ends, source, all) / sum : 1;
    return Sets(cost, scale);
  }

 private:
  Sites AddSets(int64_t layer) {
    std::map<Role, std::vector<LinearShape>> sites;
    for (const LinearShape& shape : QuantizableLinears(job_.source.spec(), layer)) {
      sites[SiteOf(shape.id).role].push_back(shape);
    }
    Sites out;
    for (const auto& [role, shapes] : sites) {
      BudgetSet set;
      set.layer = layer;
      set.site = RoleName(role);
      const int64_t k = shapes.front().k;
      for (const QuantScheme& scheme : job_.schemes) {
        if (scheme.group > 0 && k % scheme.group != 0) continue;
        set.choices.push_back({scheme, BitsPerWeight(scheme, k), 0});
      }
      for (const LinearShape& shape : shapes) set.parameters += shape.n * shape.k;
      out[role] = {sets_.size(), static_cast<double>(shapes.size())};
      sets_.push_back(std::move(set));
    }
    return out;
  }

  void MeasureErrors(int64_t layer, const LayerParams& params, const Sites& sites,
                     SearchStream& stream) {
    MomentsTap tap(job_.backend);
    stream.Observe(layer, params, tap, [&](int64_t expert) {
      std::map<LinearId, SiteMoments> moments = tap.Finish();
      if (expert >= 0) FillFewTokens(job_.source.spec(), layer, expert, 0, moments);
      for (const LinearShape& shape : QuantizableLinears(job_.source.spec(), layer)) {
        const LinearId id = shape.id;
        if (id.expert != expert) continue;
        AddErrors(params.linears.at(id), moments.at(SiteOf(id)).gram.view(),
                  sites.at(SiteOf(id).role));
      }
    });
  }

  void AddErrors(const LinearWeight& linear, const TensorView& gram, const Site& site) {
    job_.poll();
    const Tensor w = ConvertTo(std::get<Tensor>(linear.weight).view(), DType::kF32);
    const double energy = GramLoss(job_.backend, w.view(), gram);
    const Tensor delta = MakeTensor(DType::kF32, w.shape());
    for (BudgetSet::Choice& choice : sets_[site.set].choices) {
      if (choice.scheme.bits == 16 || !(energy > 0)) continue;
      QuantizationError(RuleOf(choice.scheme), job_.pool, w.view(), {}, delta.view());
      choice.divergence += GramLoss(job_.backend, delta.view(), gram) / energy / site.linears;
    }
  }

  GridRule RuleOf(const QuantScheme& scheme) const {
    GridRule rule;
    rule.scheme = scheme;
    rule.scale_type = job_.scale_type;
    return rule;
  }

  // In the smallest format that its set can have, as f32.
  void Round(const Site& site, LinearWeight& linear) const {
    Tensor w = ConvertTo(std::get<Tensor>(linear.weight).view(), DType::kF32);
    const QuantScheme& scheme = sets_[site.set].choices.front().scheme;
    if (scheme.bits != 16) {
      w = Dequantize(QuantizeToNearest(RuleOf(scheme), job_.pool, w.view()));
    }
    linear.weight = std::move(w);
  }

  // With everything rounded but routed experts.
  LayerParams RoundedDense(int64_t layer, const LayerParams& params, const Sites& sites) const {
    LayerParams out = ShareAll(params);
    for (const LinearShape& shape : QuantizableLinears(job_.source.spec(), layer)) {
      if (shape.id.expert >= 0) continue;
      Round(sites.at(SiteOf(shape.id).role), out.linears.at(shape.id));
    }
    return out;
  }

  void Advance(int64_t layer, const LayerParams& params, const LayerParams& rounded,
               const Sites& sites, SearchStream& stream, const Rounds& rounds) {
    LayerParams mixed = ShareAll(params);
    for (auto& [id, linear] : mixed.linears) {
      if (rounds(SiteOf(id).role)) linear = rounded.linears.at(id).Share();
    }
    stream.Advance(layer, mixed, [&](int64_t expert) {
      LayerParams out = ShareExpert(params, expert);
      for (auto& [id, linear] : out.linears) {
        const Role role = SiteOf(id).role;
        if (rounds(role)) Round(sites.at(role), linear);
      }
      return out;
    });
  }

  double Divergence(const CausalLm& ends, const SearchStream& source,
                    const SearchStream& other) const {
    std::vector<float> p;
    std::vector<float> q;
    const auto vocab = static_cast<size_t>(job_.source.spec().vocab);
    double sum = 0;
    const int64_t total = source.num_tokens();
    for (int64_t first = 0; first < total; first += kLogitRows) {
      job_.poll();
      const int64_t count = std::min(kLogitRows, total - first);
      source.Logits(ends, first, count, p);
      other.Logits(ends, first, count, q);
      std::vector<double> kl(static_cast<size_t>(count));
      job_.pool.For(count, 1, [&](int64_t begin, int64_t end) {
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
          const std::span<const float> a(p.data() + i * vocab, vocab);
          const std::span<const float> b(q.data() + i * vocab, vocab);
          kl[i] = KlDivergence(a, Summarize(a), b, Summarize(b));
        }
      });
      for (double d : kl) sum += d;
    }
    return sum / static_cast<double>(total);
  }

  // Errors become divergences.
  std::vector<BudgetSet> Sets(const std::map<Group, double>& cost, double scale) {
    std::map<Group, double> errors;
    for (size_t s = 0; s < sets_.size(); ++s) {
      errors[group_of_[s]] += sets_[s].choices.front().divergence;
    }
    for (size_t s = 0; s < sets_.size(); ++s) {
      const double of_group = errors.at(group_of_[s]);
      const double rate = of_group > 0 ? scale * cost.at(group_of_[s]) / of_group : 0;
      for (BudgetSet::Choice& choice : sets_[s].choices) choice.divergence *= rate;
    }
    return std::move(sets_);
  }

  const SensitivityJob& job_;
  KeptRows kept_;
  const SearchContext context_;
  const std::vector<TokenBlock> error_blocks_;
  const std::vector<TokenBlock> divergence_blocks_;
  std::vector<BudgetSet> sets_;  // their divergences are errors until the end
  std::vector<Group> group_of_;  // of each set
};

}  // namespace

std::vector<BudgetSet> MeasureSensitivity(const SensitivityJob& job) {
  return Sensitivity(job).Run();
}

}  // namespace awq
