#include "awq/api/internal/choose_formats.h"

#include <algorithm>
#include <cmath>

#include "awq/base/file.h"
#include "awq/quant/moments.h"

namespace awq {
namespace {

constexpr size_t kShownPoints = 12;
constexpr const char* kFactorsName = "method_factors.json";

// Enough points for a table, evenly over the divergence's logarithm, ends and choice among them.
std::vector<size_t> Shown(const std::vector<BudgetPoint>& curve, size_t chosen) {
  std::vector<size_t> out = {0};
  const auto log = [&](size_t i) { return std::log(std::max(curve[i].divergence, 1e-12)); };
  const size_t last = curve.size() - 1;
  size_t end = last;
  while (end > 0 && curve[end].divergence <= curve[0].divergence * 1e-4) --end;
  const double step = (log(0) - log(end)) / static_cast<double>(kShownPoints);
  for (size_t i = 1; i < last; ++i) {
    if (i == chosen || log(out.back()) - log(i) >= step) out.push_back(i);
  }
  if (last > 0) out.push_back(last);
  return out;
}

TradeOffPoint Describe(const BudgetPoint& point, const std::vector<BudgetSet>& sets,
                       double factor) {
  TradeOffPoint out{point.bits, factor * point.divergence, {}, false};
  for (size_t s = 0; s < sets.size(); ++s) {
    out.linears[SchemeName(sets[s].choices[point.choice[s]].scheme)] += sets[s].parameters;
  }
  return out;
}

}  // namespace

std::vector<QuantScheme> SchemesOf(const QuantizeOptions& options, const PackFormat& format) {
  std::vector<QuantScheme> out;
  const bool mixes = format.Name() == "compressed-tensors";
  for (int64_t group : {128, 64, 32}) {
    if (mixes ? group <= options.group : group == options.group) {
      out.push_back({4, group, options.symmetric});
    }
  }
  if (mixes) out.push_back({8, options.group, options.symmetric});
  out.push_back({16, -1, false});
  return out;
}

FormatChoice ChooseFormats(const QuantizeOptions& options, const WeightSource& source,
                           std::vector<BudgetSet> sets) {
  const double factor = MethodFactor(options);
  const std::vector<BudgetPoint> curve = TradeOff(sets);
  const BudgetPoint& point = options.max_kld ? PointOfDivergence(curve, *options.max_kld / factor)
                             : options.target_bits ? PointOfBits(curve, *options.target_bits)
                                                   : curve.front();
  const auto chosen = static_cast<size_t>(&point - curve.data());
  FormatChoice out;
  out.predicted_rtn = point.divergence;
  for (size_t i : Shown(curve, chosen)) {
    out.curve.push_back(Describe(curve[i], sets, factor));
    out.curve.back().chosen = i == chosen;
  }
  for (size_t s = 0; s < sets.size(); ++s) {
    const BudgetSet& set = sets[s];
    const QuantScheme& scheme = set.choices[point.choice[s]].scheme;
    for (const LinearShape& shape : QuantizableLinears(source.spec(), set.layer)) {
      const Role site = SiteOf(shape.id).role;
      if (RoleName(site) != set.site) continue;
      out.schemes[{set.layer, site}] = scheme;
      const std::string module = source.names().Module(shape.id, set.layer);
      if (scheme.bits == 16) {
        out.kept.push_back(module);
        continue;
      }
      auto group = std::find_if(out.groups.begin(), out.groups.end(),
                                [&](const SchemeGroup& g) { return g.scheme == scheme; });
      if (group == out.groups.end()) group = out.groups.insert(group, {scheme, {}});
      group->modules.push_back(module);
    }
  }
  AWQ_CHECK(!out.groups.empty(), kInvalidArgument,
            "the budget leaves every linear in 16 bits; there is nothing to quantize");
  return out;
}

double MethodFactor(const QuantizeOptions& options) {
  if (!options.reuse.empty() && std::filesystem::exists(options.reuse / kFactorsName)) {
    const Json factors = Json::Load(options.reuse / kFactorsName);
    if (factors.Has(options.method)) return factors.Double(options.method);
  }
  if (options.method == "joint") return 0.6;
  if (options.method == "gptq") return 0.75;
  if (options.method == "awq") return 0.86;
  return 1;
}

void RecordMethodFactor(const QuantizeOptions& options, double factor) {
  RawJson factors = RawJson::object();
  const auto file = options.reuse / kFactorsName;
  if (std::filesystem::exists(file)) factors = Json::Load(file).raw();
  factors[options.method] = factor;
  WriteFileAtomically(file, factors.dump(1) + "\n");
}

}  // namespace awq
