#include "awq/api/internal/sensitivity.h"

#include <algorithm>
#include <map>
#include <memory>

#include "awq/api/internal/layer_stream.h"
#include "awq/api/internal/scoring.h"
#include "awq/base/file.h"
#include "awq/quant/grid.h"
#include "awq/quant/layer_weights.h"
#include "awq/quant/moments.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

constexpr size_t kErrorBlocks = 32;          // blocks that errors are measured on
constexpr int64_t kDivergenceTokens = 2048;  // tokens that divergence is measured on
constexpr int64_t kThirds = 3;
constexpr int64_t kLogitRows = 64;
constexpr const char* kSearchName = "search.json";

// A site in a third of the layers.
using Group = std::pair<Role, int64_t>;

class Sensitivity {
 public:
  explicit Sensitivity(const SensitivityJob& job) : job_(job) {
    const size_t blocks = std::min(kErrorBlocks, job.blocks.size());
    error_blocks_.assign(job.blocks.begin(), job.blocks.begin() + static_cast<int64_t>(blocks));
    int64_t tokens = 0;
    for (const TokenBlock& block : error_blocks_) {
      if (tokens >= kDivergenceTokens) break;
      tokens += static_cast<int64_t>(block.size());
      divergence_blocks_.push_back(block);
    }
  }

  std::vector<BudgetSet> Run() {
    const ModelSpec& spec = job_.source.spec();
    const auto ends = LoadEnds(job_.backend, job_.source);
    LayerStream calibration(job_.backend, spec, ends, error_blocks_);
    LayerStream source(job_.backend, spec, ends, divergence_blocks_);
    LayerStream all(job_.backend, spec, ends, divergence_blocks_);
    std::map<Group, LayerStream> groups;
    const int64_t layers = spec.num_layers();
    for (int64_t i = 0; i < layers; ++i) {
      const LayerParams params = job_.source.Layer(i);
      MomentsTap tap(job_.backend);
      calibration.Advance(i, params, job_.poll, &tap);
      auto moments = tap.Finish();
      if (const auto* moe = std::get_if<MoeSpec>(&spec.layers[static_cast<size_t>(i)].ffn)) {
        for (int64_t e = 0; e < moe->experts; ++e) FillFewTokens(spec, i, e, 0, moments);
      }
      const int64_t third = i * kThirds / layers;
      LayerParams rounded = ShareAll(params);
      for (const auto& [site, ids] : Sites(i)) {
        AddSet(i, site, ids, params, moments);
        const Group group{site, third};
        if (!groups.contains(group)) groups.emplace(group, source.Fork());
        group_of_.push_back(group);
        for (LinearId id : ids) rounded.linears.at(id).weight = Round(params, id);
      }
      for (auto& [group, stream] : groups) {
        const LayerParams mixed =
            group.second == third ? Mixed(params, rounded, group.first) : ShareAll(params);
        stream.Advance(i, mixed, job_.poll);
      }
      source.Advance(i, params, job_.poll);
      all.Advance(i, rounded, job_.poll);
      if (job_.progress) job_.progress(static_cast<double>(i + 1) / static_cast<double>(layers));
    }
    std::map<Group, double> cost;
    double sum = 0;
    for (auto& [group, stream] : groups) sum += cost[group] = Divergence(source, stream);
    const double scale = sum > 0 ? Divergence(source, all) / sum : 1;
    return Sets(cost, scale);
  }

 private:
  // Linears by the input that they share; those of all experts together.
  std::map<Role, std::vector<LinearId>> Sites(int64_t layer) const {
    std::map<Role, std::vector<LinearId>> out;
    for (const LinearShape& shape : QuantizableLinears(job_.source.spec(), layer)) {
      out[SiteOf(shape.id).role].push_back(shape.id);
    }
    return out;
  }

  // The source's layer with one site rounded.
  LayerParams Mixed(const LayerParams& params, const LayerParams& rounded, Role site) const {
    LayerParams out = ShareAll(params);
    for (auto& [id, linear] : out.linears) {
      if (SiteOf(id).role != site) continue;
      linear.weight = std::get<Tensor>(rounded.linears.at(id).weight).Share();
    }
    return out;
  }

  GridRule RuleOf(const QuantScheme& scheme) const {
    GridRule rule;
    rule.scheme = scheme;
    rule.scale_type = job_.scale_type;
    return rule;
  }

  // Rounded in the smallest format that its set can have, as f32.
  Tensor Round(const LayerParams& params, LinearId id) const {
    Tensor w = ConvertTo(std::get<Tensor>(params.linears.at(id).weight).view(), DType::kF32);
    const QuantScheme& scheme = sets_.back().choices.front().scheme;
    if (scheme.bits == 16) return w;
    return Dequantize(QuantizeToNearest(RuleOf(scheme), job_.pool, w.view()));
  }

  void AddSet(int64_t layer, Role site, const std::vector<LinearId>& ids, const LayerParams& params,
              const std::map<LinearId, SiteMoments>& moments) {
    BudgetSet set;
    set.layer = layer;
    set.site = RoleName(site);
    for (const QuantScheme& scheme : job_.schemes) {
      const bool fits = std::all_of(ids.begin(), ids.end(), [&](LinearId id) {
        const int64_t k = std::get<Tensor>(params.linears.at(id).weight).view().dim(1);
        return scheme.group < 0 || k % scheme.group == 0;
      });
      if (fits) set.choices.push_back({scheme, 0, 0});
    }
    for (LinearId id : ids) {
      job_.poll();
      const TensorView gram = moments.at(SiteOf(id)).gram.view();
      const Tensor w =
          ConvertTo(std::get<Tensor>(params.linears.at(id).weight).view(), DType::kF32);
      set.parameters += w.view().NumElements();
      const double energy = GramLoss(job_.backend, w.view(), gram);
      const Tensor delta = MakeTensor(DType::kF32, w.shape());
      for (BudgetSet::Choice& choice : set.choices) {
        choice.bits = BitsPerWeight(choice.scheme, w.view().dim(1));
        if (choice.scheme.bits == 16 || !(energy > 0)) continue;
        QuantizationError(RuleOf(choice.scheme), job_.pool, w.view(), {}, delta.view());
        choice.divergence +=
            GramLoss(job_.backend, delta.view(), gram) / energy / static_cast<double>(ids.size());
      }
    }
    sets_.push_back(std::move(set));
  }

  double Divergence(LayerStream& source, LayerStream& other) const {
    std::vector<float> p;
    std::vector<float> q;
    const auto vocab = static_cast<size_t>(job_.source.spec().vocab);
    double sum = 0;
    const int64_t total = source.num_tokens();
    for (int64_t first = 0; first < total; first += kLogitRows) {
      job_.poll();
      const int64_t count = std::min(kLogitRows, total - first);
      source.Logits(first, count, p);
      other.Logits(first, count, q);
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
  std::vector<std::vector<int32_t>> error_blocks_;
  std::vector<std::vector<int32_t>> divergence_blocks_;
  std::vector<BudgetSet> sets_;  // their divergences are errors until the end
  std::vector<Group> group_of_;  // of each set
};

RawJson ToJson(const QuantScheme& s) {
  return {{"bits", s.bits}, {"group", s.group}, {"symmetric", s.symmetric}};
}

}  // namespace

std::vector<BudgetSet> MeasureSensitivity(const SensitivityJob& job) {
  return Sensitivity(job).Run();
}

void SaveSearch(const fs::path& folder, const RawJson& identity,
                const std::vector<BudgetSet>& sets) {
  RawJson list = RawJson::array();
  for (const BudgetSet& set : sets) {
    RawJson choices = RawJson::array();
    for (const BudgetSet::Choice& c : set.choices) {
      RawJson choice = ToJson(c.scheme);
      choice["bits_per_weight"] = c.bits;
      choice["kld"] = c.divergence;
      choices.push_back(std::move(choice));
    }
    list.push_back({{"layer", set.layer},
                    {"site", set.site},
                    {"parameters", set.parameters},
                    {"choices", std::move(choices)}});
  }
  fs::create_directories(folder);
  const RawJson json = {{"awq_search", 1}, {"made_for", identity}, {"sets", std::move(list)}};
  WriteFileAtomically(folder / kSearchName, json.dump(1) + "\n");
}

std::vector<BudgetSet> LoadSearch(const fs::path& folder, const RawJson& identity) {
  const fs::path file = folder / kSearchName;
  if (!fs::exists(file)) return {};
  const Json json = Json::Load(file);
  const Json made_for = json.At("made_for");
  for (const auto& [key, value] : identity.items()) {
    AWQ_CHECK(made_for.Has(key) && made_for.At(key).raw() == value, kInvalidArgument, file.string(),
              ": was made for another ", key, "; expected ", value.dump(), ", found ",
              made_for.Has(key) ? made_for.At(key).raw().dump() : "none",
              "; name another folder, or remove it");
  }
  std::vector<BudgetSet> sets;
  for (const Json& entry : json.At("sets").AsArray()) {
    BudgetSet set;
    set.layer = entry.Int("layer");
    set.site = entry.String("site");
    set.parameters = entry.Int("parameters");
    for (const Json& c : entry.At("choices").AsArray()) {
      const QuantScheme scheme{.bits = static_cast<int>(c.Int("bits")),
                               .group = c.Int("group"),
                               .symmetric = c.Bool("symmetric")};
      set.choices.push_back({scheme, c.Double("bits_per_weight"), c.Double("kld")});
    }
    AWQ_CHECK(set.parameters > 0 && !set.choices.empty(), kCorrupt, entry.Where(),
              ": expected parameters and choices");
    sets.push_back(std::move(set));
  }
  AWQ_CHECK(!sets.empty(), kCorrupt, file.string(), ": holds no sets");
  return sets;
}

}  // namespace awq
