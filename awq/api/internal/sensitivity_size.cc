#include "awq/api/internal/sensitivity_size.h"

#include <algorithm>
#include <map>

#include "awq/quant/layer_runner.h"
#include "awq/quant/moments.h"

namespace awq {
namespace {

constexpr int64_t kFloat = 4;
constexpr int64_t kStored = 2;  // bytes of a weight of the source

int64_t TokensOf(const std::vector<TokenBlock>& blocks) {
  int64_t out = 0;
  for (const TokenBlock& block : blocks) out += static_cast<int64_t>(block.size());
  return out;
}

// Of one layer; of its experts one.
struct SearchSizes {
  int64_t dense = 0;    // weights of all but experts
  int64_t beside = 0;   // of those that are in memory beside an expert: router, shared
  int64_t expert = 0;   // of one
  int64_t largest = 0;  // of a linear
  int64_t widest = 0;   // input
  int64_t moments = 0;  // elements, of all but experts
  int64_t expert_moments = 0;
  int64_t rows = 0;     // elements of a token between linears, or of what experts give
  double products = 0;  // weights times what they read, of all experts
  double read = 0;      // weights that a token meets
  double weights = 0;   // all
  int64_t sites = 0;    // that are rounded
};

SearchSizes SearchSizesOf(const ModelSpec& model, int64_t layer) {
  SearchSizes out;
  const auto* moe = std::get_if<MoeSpec>(&model.layers[static_cast<size_t>(layer)].ffn);
  std::map<Role, bool> sites;  // whether something of them is rounded
  for (const LinearShape& l : LayerLinears(model, layer)) {
    const int64_t n = l.n * l.k;
    const auto weights = static_cast<double>(n);
    const LinearId site = SiteOf(l.id);
    out.weights += weights;
    out.products += weights * static_cast<double>(l.k);
    out.largest = std::max(out.largest, n);
    out.widest = std::max(out.widest, l.k);
    sites[site.role] |= l.quantizable;
    if (l.id.expert >= 0) {
      out.read += weights * static_cast<double>(moe->active) / static_cast<double>(moe->experts);
      if (l.id.expert > 0) continue;
      out.expert += n;
      if (site == l.id) out.expert_moments += l.k * l.k;
      continue;
    }
    out.read += weights;
    out.dense += n;
    const bool cached = l.id == Role::kK || l.id == Role::kV || l.id == Role::kKvA;
    out.rows += cached ? 2 * l.n : l.n;
    if (site == LinearId(Role::kRouter) || l.id == LinearId(Role::kSharedDown)) out.beside += n;
    if (site == l.id) out.moments += l.k * l.k;
  }
  if (moe != nullptr) out.rows = std::max(out.rows, moe->active * model.hidden);
  for (const auto& [role, rounded] : sites) out.sites += rounded;
  return out;
}

int64_t MemoryOf(const SearchSizes& s, int64_t tokens, int64_t hidden) {
  const int64_t workspace = tokens * (3 * hidden + s.rows) * kFloat;
  const int64_t errors = 2 * s.largest * kFloat + std::min(kProductBytes, s.largest * kFloat);
  const int64_t observed = s.moments * kFloat + std::max(s.dense * kStored + workspace, errors);
  const int64_t expert = s.beside * kStored + s.expert_moments * kFloat +
                         std::max(s.expert * kStored + workspace, errors);
  // Rounded linears, and the same prepared.
  const int64_t rounded = s.dense * kFloat;
  const int64_t advanced = rounded + s.dense * kFloat + workspace;
  const int64_t experts = rounded + (s.beside + 2 * s.expert) * kFloat + workspace;
  constexpr int64_t kPacked = 1024;  // rows of an operand, which the backend keeps
  return std::max({observed, s.expert > 0 ? expert : 0, advanced, experts}) +
         s.widest * kPacked * kFloat;
}

}  // namespace

std::vector<TokenBlock> ErrorBlocks(const std::vector<TokenBlock>& blocks) {
  constexpr size_t kMost = 32;
  return {blocks.begin(), blocks.begin() + static_cast<int64_t>(std::min(kMost, blocks.size()))};
}

std::vector<TokenBlock> DivergenceBlocks(const std::vector<TokenBlock>& blocks) {
  constexpr int64_t kTokens = 2048;
  std::vector<TokenBlock> out;
  int64_t tokens = 0;
  for (const TokenBlock& block : ErrorBlocks(blocks)) {
    if (tokens >= kTokens) break;
    tokens += static_cast<int64_t>(block.size());
    out.push_back(block);
  }
  return out;
}

SensitivityCost CostOfSensitivity(const WeightSource& source, int64_t formats,
                                  const std::vector<TokenBlock>& blocks,
                                  const MachineSpeed& speed) {
  const ModelSpec& model = source.spec();
  const int64_t all = TokensOf(ErrorBlocks(blocks));
  const int64_t compared = TokensOf(DivergenceBlocks(blocks));
  int64_t longest = 0;
  for (const TokenBlock& b : blocks) longest = std::max(longest, static_cast<int64_t>(b.size()));
  SensitivityCost out;
  int64_t groups = 0;
  int64_t third = -1;
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    const SearchSizes s = SearchSizesOf(model, i);
    if (i * kSearchThirds / model.num_layers() != third) groups += s.sites;
    third = i * kSearchThirds / model.num_layers();
    const int64_t piece = std::min(all, std::max(longest, PieceTokens(model, i)));
    out.memory = std::max(out.memory, MemoryOf(s, piece, model.hidden));
    const auto streams = static_cast<double>(groups + 2);
    const double rows = static_cast<double>(all) + streams * static_cast<double>(compared);
    const auto rounded = static_cast<double>(formats);
    out.seconds += 2 * s.read * rows / speed.linear +
                   static_cast<double>(s.moments) * static_cast<double>(all) / speed.gram +
                   2 * (rounded + 1) * s.products / speed.product +
                   (rounded + 3 + streams) * s.weights / speed.weights;
  }
  const int64_t ends = source.Embedding().view().NumBytes() + source.Head().view().NumBytes();
  constexpr int64_t kLogits = 3;  // of both models, and what they are made of
  out.memory = std::max(out.memory, ends + kLogits * kLogitRows * model.vocab * kFloat);
  const double logits = static_cast<double>(2 * (groups + 1) * compared * model.vocab);
  constexpr double kPasses = 6;  // over logits: softmax and divergence
  out.seconds += 2 * logits * static_cast<double>(model.hidden) / speed.linear +
                 kPasses * logits / speed.weights;
  out.disk = 2 * kFloat * model.hidden * (all + (groups + 2) * compared);
  return out;
}

}  // namespace awq
