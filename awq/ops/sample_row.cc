#include "awq/ops/sample_row.h"

#include <algorithm>
#include <vector>

#include "awq/ops/sample_weight.h"

namespace awq {
namespace {

struct Candidate {
  float distance;
  int32_t id;
};

constexpr auto kNearer = [](const Candidate& a, const Candidate& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
};

uint64_t TotalWeight(const std::vector<Candidate>& candidates) {
  uint64_t total = 0;
  for (const Candidate& c : candidates) total += SampleWeight(c.distance);
  return total;
}

void KeepTopK(int64_t top_k, std::vector<Candidate>& candidates) {
  const auto k = static_cast<size_t>(top_k);
  if (k == 0 || k >= candidates.size()) return;
  const auto last = candidates.begin() + static_cast<int64_t>(k - 1);
  std::nth_element(candidates.begin(), last, candidates.end(), kNearer);
  std::erase_if(candidates,
                [most = last->distance](const Candidate& c) { return c.distance > most; });
}

void KeepTopP(float top_p, std::vector<Candidate>& candidates) {
  if (top_p >= 1) return;
  const auto total = static_cast<double>(TotalWeight(candidates));
  const auto needed =
      std::max(uint64_t{1}, static_cast<uint64_t>(static_cast<double>(top_p) * total));
  uint64_t sum = 0;
  // A few tokens mostly suffice: sort ever larger pieces from the nearest on instead of everything.
  auto sorted = candidates.begin();
  for (int64_t piece = 64; sorted != candidates.end(); piece *= 4) {
    const auto end = sorted + std::min<int64_t>(piece, candidates.end() - sorted);
    std::partial_sort(sorted, end, candidates.end(), kNearer);
    for (; sorted != end; ++sorted) {
      sum += SampleWeight(sorted->distance);
      if (sum < needed) continue;
      candidates.erase(sorted + 1, candidates.end());
      return;
    }
  }
}

// The upper half of a product of 128 bits.
uint64_t MultiplyHigh(uint64_t a, uint64_t b) {
  const uint64_t low_a = a & 0xffffffffu;
  const uint64_t low_b = b & 0xffffffffu;
  const uint64_t middle = (a >> 32) * low_b + (low_a * low_b >> 32);
  const uint64_t cross = low_a * (b >> 32) + (middle & 0xffffffffu);
  return (a >> 32) * (b >> 32) + (middle >> 32) + (cross >> 32);
}

}  // namespace

void PenalizeRow(const SampleRow& row, std::span<float> logits) {
  for (size_t i = 0; i < row.seen.size(); ++i) {
    const auto id = static_cast<size_t>(row.seen[i]);  // -1 is beyond the logits, too
    if (id >= logits.size()) continue;
    logits[id] = PenalizedLogit(logits[id], row.repetition, row.subtract[i]);
  }
}

int32_t ArgMaxRow(std::span<const float> logits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float best = -kInfinity;
  int32_t id = -1;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] < kInfinity)) return -1;
    if (logits[i] <= best) continue;
    best = logits[i];
    id = static_cast<int32_t>(i);
  }
  return id;
}

int32_t DrawFromRow(const SampleRow& row, std::span<float> logits) {
  PenalizeRow(row, logits);
  const int32_t best = ArgMaxRow(logits);
  if (best < 0 || row.temperature == 0) return best;
  const float top = logits[static_cast<size_t>(best)];
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates.push_back({(top - logits[i]) / row.temperature, static_cast<int32_t>(i)});
  }
  KeepTopK(row.top_k, candidates);
  KeepTopP(row.top_p, candidates);
  std::erase_if(candidates, [&](const Candidate& c) { return c.distance > row.most_distance; });
  if (row.top_k > 0 || row.top_p < 1) {
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  }
  uint64_t rest = MultiplyHigh(row.random, TotalWeight(candidates));
  for (const Candidate& c : candidates) {
    const uint64_t weight = SampleWeight(c.distance);
    if (rest < weight) return c.id;
    rest -= weight;
  }
  return best;  // not reached: the sum is larger than what was drawn of it
}

}  // namespace awq
