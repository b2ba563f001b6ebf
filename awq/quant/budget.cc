#include "awq/quant/budget.h"

#include <algorithm>
#include <numeric>

#include "awq/base/error.h"

namespace awq {
namespace {

// From one choice of a set to a better one that costs more.
struct Step {
  size_t set;
  size_t to;
  double cost;  // bits
  double gain;  // nats
};

// The choices on the lower convex hull of a set, from the cheapest.
std::vector<size_t> Hull(const BudgetSet& set) {
  std::vector<size_t> order(set.choices.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto at = [&](size_t i) -> const BudgetSet::Choice& { return set.choices[i]; };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return at(a).bits != at(b).bits ? at(a).bits < at(b).bits : at(a).divergence < at(b).divergence;
  });
  std::vector<size_t> hull;
  for (size_t i : order) {
    if (!hull.empty() && at(i).divergence >= at(hull.back()).divergence) continue;
    // The middle one of three goes if the way past it falls no slower.
    while (hull.size() >= 2) {
      const auto& a = at(hull[hull.size() - 2]);
      const auto& b = at(hull.back());
      const double by_b = (a.divergence - b.divergence) * (at(i).bits - a.bits);
      const double past_b = (a.divergence - at(i).divergence) * (b.bits - a.bits);
      if (by_b > past_b) break;
      hull.pop_back();
    }
    hull.push_back(i);
  }
  return hull;
}

}  // namespace

double BitsPerWeight(const QuantScheme& scheme, int64_t k) {
  if (scheme.bits == 16) return 16;
  const int overhead = 16 + (scheme.symmetric ? 0 : scheme.bits);
  return scheme.bits + static_cast<double>(overhead * scheme.Groups(k)) / static_cast<double>(k);
}

std::string SchemeName(const QuantScheme& scheme) {
  if (scheme.bits == 16) return "16-bit";
  return Cat(scheme.bits, scheme.group < 0 ? "-bit row" : Cat("-bit g", scheme.group));
}

std::vector<BudgetPoint> TradeOff(const std::vector<BudgetSet>& sets) {
  BudgetPoint point;
  std::vector<Step> steps;
  double total = 0;
  for (const BudgetSet& set : sets) total += static_cast<double>(set.parameters);
  for (size_t s = 0; s < sets.size(); ++s) {
    const auto weight = static_cast<double>(sets[s].parameters) / total;
    const std::vector<size_t> hull = Hull(sets[s]);
    const BudgetSet::Choice& first = sets[s].choices[hull.front()];
    point.choice.push_back(hull.front());
    point.bits += weight * first.bits;
    point.divergence += first.divergence;
    for (size_t i = 1; i < hull.size(); ++i) {
      const BudgetSet::Choice& from = sets[s].choices[hull[i - 1]];
      const BudgetSet::Choice& to = sets[s].choices[hull[i]];
      steps.push_back(
          {s, hull[i], weight * (to.bits - from.bits), from.divergence - to.divergence});
    }
  }
  // A set's own steps keep their order, since its hull is convex.
  std::stable_sort(steps.begin(), steps.end(),
                   [](const Step& a, const Step& b) { return a.gain * b.cost > b.gain * a.cost; });
  std::vector<BudgetPoint> curve = {point};
  for (const Step& step : steps) {
    point.choice[step.set] = step.to;
    point.bits += step.cost;
    point.divergence -= step.gain;
    curve.push_back(point);
  }
  return curve;
}

const BudgetPoint& PointOfBits(const std::vector<BudgetPoint>& curve, double bits) {
  constexpr double kRounding = 1e-9;
  AWQ_CHECK(curve.front().bits <= bits + kRounding, kInvalidArgument, "--bits ", bits,
            ": expected at least ", curve.front().bits,
            ", what the smallest formats take with scales and zero points");
  const auto past = std::find_if(curve.begin(), curve.end(),
                                 [&](const BudgetPoint& p) { return p.bits > bits + kRounding; });
  return *(past - 1);
}

const BudgetPoint& PointOfDivergence(const std::vector<BudgetPoint>& curve, double divergence) {
  const auto at = std::find_if(curve.begin(), curve.end(),
                               [&](const BudgetPoint& p) { return p.divergence <= divergence; });
  AWQ_CHECK(at != curve.end(), kInvalidArgument, "--max-kld ", divergence, ": expected at least ",
            curve.back().divergence, ", what the largest formats are predicted to reach");
  return *at;
}

}  // namespace awq
