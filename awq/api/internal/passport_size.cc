#include "awq/api/internal/passport_size.h"

#include <algorithm>

#include "awq/api/internal/scoring.h"
#include "awq/model/spec.h"

namespace awq {
namespace {

constexpr int64_t kStreams = 3;  // the source, what was written, and plain rounding
constexpr double kShare = 0.1;

struct Sizes {
  double layers = 0;   // weights of all linears
  double largest = 0;  // of a layer
};

Sizes SizesOf(const ModelSpec& model) {
  Sizes out;
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    double layer = 0;
    for (const LinearShape& l : LayerLinears(model, i)) layer += static_cast<double>(l.n * l.k);
    out.layers += layer;
    out.largest = std::max(out.largest, layer);
  }
  return out;
}

}  // namespace

PassportCost CostOfPassport(const WeightSource& source, const MachineSpeed& speed, int64_t tokens) {
  // Passes over weights and logits, in units of rounding a weight.
  constexpr double kWeightPasses = 12;  // hashed, read back, rounded, packed for products
  constexpr double kLogitPasses = 6;    // softmax and divergence
  const ModelSpec& model = source.spec();
  const Sizes sizes = SizesOf(model);
  const auto ends = static_cast<double>(model.vocab * model.hidden);
  PassportCost out;
  out.seconds = (kWeightPasses * sizes.layers + 2 * ends) / speed.weights;
  out.token_seconds = 2 * (2 * sizes.layers + 3 * ends) / speed.linear +
                      2 * sizes.layers / speed.quantized +
                      kLogitPasses * static_cast<double>(model.vocab) / speed.weights;
  // Embedding and head are copies; of the three layers the source's, in 16 bits, takes the most.
  constexpr double kLayerBytes = 2;
  constexpr int64_t kLogits = (kStreams + 1) * kLogitBytes;
  out.memory = source.Embedding().view().NumBytes() + source.Head().view().NumBytes() +
               static_cast<int64_t>(kLayerBytes * sizes.largest) +
               kStreams * tokens * model.hidden * 4 + kLogits;
  return out;
}

int64_t PassportTokens(const WeightSource& source, const QuantPlan& nominal) {
  constexpr int64_t kLeast = 1024;
  constexpr int64_t kMost = 8192;
  const PassportCost cost = CostOfPassport(source, NominalSpeed(), kMost);
  const double room = (kShare * nominal.seconds - cost.seconds) / cost.token_seconds;
  return static_cast<int64_t>(
      std::clamp(room, static_cast<double>(kLeast), static_cast<double>(kMost)));
}

}  // namespace awq
