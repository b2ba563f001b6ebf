#include "awq/runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "awq/base/error.h"

namespace awq {
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
  const int32_t id = ArgMaxRow(logits);
  if (id >= 0) return id;
  for (size_t i = 0; i < logits.size(); ++i) {
    AWQ_CHECK(logits[i] < std::numeric_limits<float>::infinity(), kInternal,
              "the model's logit of token ", i, " is ", logits[i],
              "; the weights or activations overflow: try --dtype f32");
  }
  Fail(ErrorCode::kInternal, "all ", logits.size(), " logits are -inf: no token can follow");
}

Sampler::Sampler(const SamplingParams& params, std::span<const int32_t> prompt)
    : params_(params), random_(params.seed) {
  params_.Check();
  if (!Penalizes()) return;
  for (int32_t id : prompt) {
    if (!places_.try_emplace(id, seen_.size()).second) continue;
    seen_.push_back(id);
    generated_.push_back(0);
    subtract_.push_back(0);
  }
}

bool Sampler::Penalizes() const {
  return params_.repetition_penalty != 1 || params_.presence_penalty != 0 ||
         params_.frequency_penalty != 0;
}

bool Sampler::TakesBest() const { return params_.temperature == 0 && !Penalizes(); }

SampleRow Sampler::Next() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  SampleRow row{.top_k = params_.top_k,
                .top_p = static_cast<float>(params_.top_p),
                .most_distance = kInfinity,
                .repetition = static_cast<float>(params_.repetition_penalty),
                .random = params_.temperature > 0 ? random_() : 0,
                .seen = seen_,
                .subtract = subtract_};
  row.temperature = static_cast<float>(params_.temperature);
  if (params_.temperature > 0) {
    row.temperature = std::max(row.temperature, std::numeric_limits<float>::min());
  }
  if (params_.min_p > 0) {
    // The largest F32 that is not above.
    const double most = -std::log(params_.min_p);
    row.most_distance = static_cast<float>(most);
    if (row.most_distance > most) row.most_distance = std::nextafter(row.most_distance, 0.0f);
  }
  return row;
}

void Sampler::Accept(int32_t id) {
  if (!Penalizes()) return;
  const auto [entry, added] = places_.try_emplace(id, seen_.size());
  if (added) {
    seen_.push_back(id);
    generated_.push_back(0);
    subtract_.push_back(0);
  }
  const size_t i = entry->second;
  ++generated_[i];
  subtract_[i] = static_cast<float>(params_.frequency_penalty * static_cast<double>(generated_[i]) +
                                    params_.presence_penalty);
}

int32_t Sampler::Sample(std::span<float> logits) {
  int32_t id = DrawFromRow(Next(), logits);
  if (id < 0) id = ArgMax(logits);  // says why
  Accept(id);
  return id;
}

}  // namespace awq
