#include "awq/runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "awq/base/error.h"

namespace awq {
namespace {

constexpr float kBarred = -std::numeric_limits<float>::infinity();

// Most likely first; the order is total, so that equal seeds give equal tokens.
constexpr auto kMoreLikely = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
};

}  // namespace

void SamplingParams::Check() const {
  const auto check = [](bool ok, const char* name, double value, const char* range) {
    AWQ_CHECK(ok, kInvalidArgument, name, ": expected ", range, ", found ", value);
  };
  check(temperature >= 0 && temperature <= 1e4, "temperature", temperature, "0 … 10000");
  check(top_k >= 0, "top_k", static_cast<double>(top_k), "0 (all) or more");
  check(top_p > 0 && top_p <= 1, "top_p", top_p, "above 0 and at most 1");
  check(min_p >= 0 && min_p < 1, "min_p", min_p, "at least 0 and below 1");
  check(repetition_penalty > 0 && repetition_penalty <= 1e4, "repetition_penalty",
        repetition_penalty, "above 0");
  check(std::abs(presence_penalty) <= 2, "presence_penalty", presence_penalty, "-2 … 2");
  check(std::abs(frequency_penalty) <= 2, "frequency_penalty", frequency_penalty, "-2 … 2");
}

int32_t ArgMax(std::span<const float> logits) {
  float best = kBarred;
  int32_t id = -1;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float x = logits[i];
    // Written so that NaN, too, takes the branch.
    if (!(x <= best)) {
      AWQ_CHECK(x < std::numeric_limits<float>::infinity(), kInternal,
                "the model's logit of token ", i, " is ", x,
                "; the weights or activations overflow: try --dtype f32");
      best = x;
      id = static_cast<int32_t>(i);
    }
  }
  AWQ_CHECK(id >= 0, kInternal, "all ", logits.size(), " logits are -inf: no token can follow");
  return id;
}

Sampler::Sampler(const SamplingParams& params, std::span<const int32_t> prompt)
    : params_(params), random_(params.seed) {
  params_.Check();
  for (int32_t id : prompt) seen_[id].in_prompt = true;
}

void Sampler::Penalize(std::span<float> logits) const {
  const auto repetition = static_cast<float>(params_.repetition_penalty);
  for (const auto& [id, seen] : seen_) {
    if (static_cast<size_t>(id) >= logits.size()) continue;
    float& x = logits[static_cast<size_t>(id)];
    if (repetition != 1) x = x > 0 ? x / repetition : x * repetition;
    if (seen.generated > 0) {
      x -= static_cast<float>(params_.frequency_penalty * static_cast<double>(seen.generated));
      x -= static_cast<float>(params_.presence_penalty);
    }
  }
}

int32_t Sampler::Sample(std::span<float> logits) {
  Penalize(logits);
  int32_t id = ArgMax(logits);
  if (params_.temperature > 0) {
    // Relative to the largest: a tiny temperature then cannot overflow.
    const float top = logits[static_cast<size_t>(id)];
    candidates_.clear();
    for (size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] == kBarred) continue;
      const double scaled =
          (static_cast<double>(logits[i]) - static_cast<double>(top)) / params_.temperature;
      candidates_.push_back({static_cast<float>(scaled), static_cast<int32_t>(i)});
    }
    KeepTopK();
    KeepTopP();
    KeepMinP();
    id = Draw();
  }
  Accept(id);
  return id;
}

bool Sampler::TakesBest() const {
  return params_.temperature == 0 && params_.repetition_penalty == 1 &&
         params_.presence_penalty == 0 && params_.frequency_penalty == 0;
}

void Sampler::KeepTopK() {
  const auto k = static_cast<size_t>(params_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<int64_t>(k - 1),
                   candidates_.end(), kMoreLikely);
  const float least = candidates_[k - 1].logit;
  std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < least; });
}

void Sampler::KeepTopP() {
  if (params_.top_p >= 1) return;
  double total = 0;
  for (const Candidate& c : candidates_) total += std::exp(static_cast<double>(c.logit));
  double rest = params_.top_p * total;
  // A few tokens mostly suffice: sort ever larger pieces from the top instead of everything.
  auto sorted = candidates_.begin();
  for (int64_t piece = 64; sorted != candidates_.end(); piece *= 4) {
    const auto end = sorted + std::min<int64_t>(piece, candidates_.end() - sorted);
    std::partial_sort(sorted, end, candidates_.end(), kMoreLikely);
    for (; sorted != end; ++sorted) {
      rest -= std::exp(static_cast<double>(sorted->logit));
      if (rest <= 0) {
        candidates_.erase(sorted + 1, candidates_.end());
        return;
      }
    }
  }
}

void Sampler::KeepMinP() {
  if (params_.min_p <= 0) return;
  const double least = std::log(params_.min_p);  // the most likely one has logit 0
  std::erase_if(candidates_,
                [&](const Candidate& c) { return static_cast<double>(c.logit) < least; });
}

int32_t Sampler::Draw() {
  double total = 0;
  for (const Candidate& c : candidates_) total += std::exp(static_cast<double>(c.logit));
  double rest = static_cast<double>(random_() >> 11) * 0x1p-53 * total;
  for (const Candidate& c : candidates_) {
    rest -= std::exp(static_cast<double>(c.logit));
    if (rest < 0) return c.id;
  }
  return candidates_.back().id;  // rounding left a remainder
}

}  // namespace awq
