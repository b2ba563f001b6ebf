// Routing to experts, their linears, and latent attention, which has a weight a head.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "awq/backend/ref/loops.h"
#include "awq/backend/ref/ref_backend.h"
#include "awq/ops/checks.h"

namespace awq {
namespace {

using ref::At;
using ref::CacheOffset;
using ref::Dot;
using ref::LoadRow;

// The places of the `count` largest values, the largest first; the lowest place among equals. NaN
// is larger than nothing.
std::vector<int32_t> Largest(const std::vector<float>& values, int64_t count) {
  std::vector<int32_t> out;
  std::vector<bool> taken(values.size());
  for (int64_t i = 0; i < count; ++i) {
    int32_t best = -1;
    for (size_t j = 0; j < values.size(); ++j) {
      if (taken[j]) continue;
      if (best < 0 || values[j] > values[static_cast<size_t>(best)]) best = static_cast<int32_t>(j);
    }
    taken[static_cast<size_t>(best)] = true;
    out.push_back(best);
  }
  return out;
}

std::vector<float> Scores(const RouteArgs& args, const std::vector<float>& logits) {
  std::vector<float> out;
  if (args.sigmoid) {
    for (float v : logits) {
      out.push_back(static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(v)))));
    }
    return out;
  }
  const double max = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (float v : logits) total += std::exp(v - max);
  for (float v : logits) out.push_back(static_cast<float>(std::exp(v - max) / total));
  return out;
}

// Experts outside the best groups compete with a score of 0.
void LeaveBestGroups(const RouteArgs& args, std::vector<float>& choice) {
  if (args.active_groups == args.groups) return;
  const auto size = static_cast<int64_t>(choice.size()) / args.groups;
  std::vector<float> ranks;
  for (int64_t g = 0; g < args.groups; ++g) {
    const auto begin = choice.begin() + g * size;
    const std::vector<float> group(begin, begin + size);
    float rank = 0;
    for (int32_t i : Largest(group, args.rank_by)) rank += group[static_cast<size_t>(i)];
    ranks.push_back(rank);
  }
  const std::vector<int32_t> best = Largest(ranks, args.active_groups);
  for (int64_t g = 0; g < args.groups; ++g) {
    if (std::find(best.begin(), best.end(), g) != best.end()) continue;
    std::fill_n(choice.begin() + g * size, size, 0.0f);
  }
}

}  // namespace

std::unique_ptr<PackedStack> RefBackend::Stack(std::vector<std::unique_ptr<PackedWeight>> weights) {
  return std::make_unique<PackedStack>(std::move(weights));
}

void RefBackend::Route(const RouteArgs& args, const TensorView& logits, const TensorView& bias,
                       const Routing& routing) {
  const RouteDims d = CheckRoute(args, logits, bias, routing);
  std::vector<std::vector<int32_t>> pairs(static_cast<size_t>(d.experts));
  for (int64_t t = 0; t < d.tokens; ++t) {
    const std::vector<float> scores = Scores(args, LoadRow(logits, At(logits, t), d.experts));
    std::vector<float> choice = scores;
    for (size_t e = 0; !bias.empty() && e < choice.size(); ++e) {
      choice[e] += bias.As<const float>()[e];
    }
    LeaveBestGroups(args, choice);
    const std::vector<int32_t> chosen = Largest(choice, d.active);
    double total = 1e-20;
    for (int32_t e : chosen) total += static_cast<double>(scores[static_cast<size_t>(e)]);
    for (int64_t a = 0; a < d.active; ++a) {
      const auto e = static_cast<size_t>(chosen[static_cast<size_t>(a)]);
      const double weight = static_cast<double>(scores[e]) / (args.normalize ? total : 1.0);
      const int64_t pair = t * d.active + a;
      routing.experts.As<int32_t>()[pair] = static_cast<int32_t>(e);
      routing.weights.As<float>()[pair] =
          static_cast<float>(weight * static_cast<double>(args.scale));
      pairs[e].push_back(static_cast<int32_t>(pair));
    }
  }
  int32_t place = 0;
  for (size_t e = 0; e < pairs.size(); ++e) {
    routing.starts.As<int32_t>()[e] = place;
    for (int32_t pair : pairs[e]) routing.pairs.As<int32_t>()[place++] = pair;
  }
  routing.starts.As<int32_t>()[d.experts] = place;
}

void RefBackend::MoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                           const TensorView& y) {
  const MoeDims d = CheckMoeLinear(w, routing, x, y);
  for (int64_t p = 0; p < d.pairs; ++p) {
    const int64_t row = p / d.pairs_per_row;
    Linear(w[routing.experts.As<const int32_t>()[p]], x.Rows(row, row + 1), {}, y.Rows(p, p + 1));
  }
}

void RefBackend::MoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
                        const TensorView& gate, const TensorView& y) {
  const RowDims d = CheckMoeSum(routing, x, shared, gate, y);
  const int64_t active = routing.experts.dim(1);
  for (int64_t t = 0; t < d.rows; ++t) {
    double factor = 1;
    if (!gate.empty()) {
      factor = 1.0 / (1.0 + std::exp(-static_cast<double>(gate.As<const float>()[At(gate, t)])));
    }
    for (int64_t c = 0; c < d.columns; ++c) {
      double sum = shared.empty() ? 0.0 : factor * LoadFloat(shared, At(shared, t) + c);
      for (int64_t a = 0; a < active; ++a) {
        const int64_t p = t * active + a;
        sum +=
            static_cast<double>(routing.weights.As<const float>()[p]) * LoadFloat(x, At(x, p) + c);
      }
      StoreFloat(y, At(y, t) + c, static_cast<float>(sum));
    }
  }
}

void RefBackend::HeadLinear(const PackedStack& w, const TensorView& x, const TensorView& y) {
  CheckHeadLinear(w, x, y);
  for (int64_t h = 0; h < w.size(); ++h) Linear(w[h], HeadRows(x, h), {}, HeadRows(y, h));
}

void RefBackend::MlaAttention(const AttentionArgs& args, const Batch& batch,
                              const TensorView& q_latent, const TensorView& q_rope,
                              const PagedKv& cache, const TensorView& y) {
  const MlaDims d = CheckMlaAttention(batch, q_latent, q_rope, cache, y);
  CheckHostBatch(batch, cache);
  const auto* start = batch.seq_start.As<const int32_t>();
  for (int64_t b = 0; b < batch.num_seqs(); ++b) {
    for (int64_t t = start[b]; t < start[b + 1]; ++t) {
      const int64_t p = batch.kv_len.As<const int32_t>()[b] - (start[b + 1] - t);
      for (int64_t h = 0; h < d.heads; ++h) {
        std::vector<float> query = LoadRow(q_latent, At(q_latent, t, h), d.rank);
        const std::vector<float> rope = LoadRow(q_rope, At(q_rope, t, h), d.rope);
        query.insert(query.end(), rope.begin(), rope.end());
        std::vector<double> scores;
        for (int64_t s = 0; s <= p; ++s) {
          const std::vector<float> key =
              LoadRow(cache.keys, CacheOffset(batch, cache, b, s, 0), d.rank + d.rope);
          scores.push_back(Dot(query.data(), key.data(), d.rank + d.rope) * args.scale);
        }
        const double max = *std::max_element(scores.begin(), scores.end());
        double total = 0;
        for (double& s : scores) total += s = std::exp(s - max);
        std::vector<double> sum(static_cast<size_t>(d.rank));
        for (int64_t s = 0; s <= p; ++s) {
          const int64_t from = CacheOffset(batch, cache, b, s, 0);
          for (int64_t i = 0; i < d.rank; ++i) {
            sum[static_cast<size_t>(i)] +=
                scores[static_cast<size_t>(s)] / total * LoadFloat(cache.keys, from + i);
          }
        }
        for (int64_t i = 0; i < d.rank; ++i) {
          StoreFloat(y, At(y, t, h) + i, static_cast<float>(sum[static_cast<size_t>(i)]));
        }
      }
    }
  }
}

}  // namespace awq
