// Budget: which format each set of linears gets, so that the model loses least for its bits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "awq/pack/quantized_weight.h"

namespace awq {

// Bits of a weight in a scheme, 16-bit scales and zero points included, in rows of k. A scheme of
// 16 bits stands for weights that are left as they are.
double BitsPerWeight(const QuantScheme& scheme, int64_t k);
// "4-bit g128", "8-bit g128", "16-bit".
std::string SchemeName(const QuantScheme& scheme);

// Linears that loaders fuse, and that must be alike: q, k, v; o; gate, up; down.
struct BudgetSet {
  int64_t layer = 0;
  std::string site;  // the first of them, as in RoleName
  int64_t parameters = 0;
  struct Choice {
    QuantScheme scheme;
    double bits = 0;        // a weight
    double divergence = 0;  // what it adds to the model's KL divergence, nats a token
  };
  std::vector<Choice> choices;
};

struct BudgetPoint {
  double bits = 0;             // a weight, mean over all sets
  double divergence = 0;       // predicted: the sum over the sets
  std::vector<size_t> choice;  // of each set
};

// The points of the lower convex hull of all combinations, from the fewest bits to the least
// divergence: each differs from the one before it in the set whose next choice gains most for a
// bit. Those between two of them that could be better for a given budget save less than one set's
// bits.
std::vector<BudgetPoint> TradeOff(const std::vector<BudgetSet>& sets);

// The best point within a budget. Throws kInvalidArgument saying what the least is that can be had.
const BudgetPoint& PointOfBits(const std::vector<BudgetPoint>& curve, double bits);
const BudgetPoint& PointOfDivergence(const std::vector<BudgetPoint>& curve, double divergence);

}  // namespace awq
