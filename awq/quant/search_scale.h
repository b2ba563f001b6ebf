// The scale search of AWQ (arXiv:2306.00978) on one edge, scored from second moments.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "awq/base/threads.h"
#include "awq/quant/grid.h"
#include "awq/quant/moments.h"
#include "awq/quant/scale_edges.h"

namespace awq {

// What one candidate is: s = x̄^ratio / w̄^(1-ratio) when duo, else x̄^ratio; identity is neither.
struct ScaleChoice {
  std::vector<float> scale;  // [channels of the producer]
  double ratio = 0;
  bool duo = false;
  bool identity = true;
  double loss = 0;           // of the chosen scale
  double identity_loss = 0;  // of none

  std::string Describe() const;  // "0.65 duo", "0.40", "-"
};

// Mean activation and mean relative weight magnitude per channel of the producer.
struct ScaleStats {
  std::vector<float> x;  // x̄: mean |x|
  std::vector<float> w;  // w̄: mean over all consumers' rows of |w| / max |w| of its group
};
ScaleStats CollectScaleStats(const ScaleEdge& edge, const LayerParams& layer,
                             std::span<const float> mean_abs, const QuantScheme& scheme);

// The candidate's scale, normalised to sqrt(max · min) = 1; non-finite entries become 1.
std::vector<float> CandidateScale(const ScaleStats& stats, double ratio, bool duo);
// s per input column of the consumers.
std::vector<float> ExpandScale(const ScaleEdge& edge, std::span<const float> s, int64_t columns);

// Makes them the moments of the consumers' input after the scale has been applied.
void RescaleMoments(const ScaleEdge& edge, std::span<const float> s, SiteMoments& moments);
// The same for every site that the edge's consumers have among `sites`.
void RescaleMoments(const ScaleEdge& edge, std::span<const float> s,
                    std::map<LinearId, SiteMoments>& sites);

struct ScaleSearchOptions {
  bool duo = true;  // try duo scales beside plain ones
  // Losses are taken over at most so many rows of each consumer, evenly spaced; 0: over all.
  int64_t rows = 0;
};

// Of so many experts behind a norm every n-th one is judged: about sixteen.
int64_t JudgeStep(int64_t experts);

// Where experts read a norm, `moments` are those of all tokens, and every JudgeStep-th expert is
// judged by them.
// Tries identity and a grid of ratios, coarse and then fine around the best, for both families. The
// loss is the summed output error of all consumers, ‖(Q(W s)/s - W) X‖². Throws kInternal when no
// finite loss exists.
ScaleChoice SearchScale(Backend& backend, ThreadPool& pool, const GridRule& rule,
                        const ScaleSearchOptions& options, const ScaleEdge& edge,
                        const LayerParams& layer, const SiteMoments& moments);

}  // namespace awq
