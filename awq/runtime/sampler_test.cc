// Sampler: formulas, filters and edge cases by exact expectation, frequencies by chi-square.
#include "awq/runtime/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "awq/base/error.h"

namespace awq {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

int32_t SampleOnce(Sampler& sampler, std::vector<float> logits) { return sampler.Sample(logits); }

// Tokens that 4000 draws give.
std::map<int32_t, int> Draws(const SamplingParams& params, const std::vector<float>& logits) {
  std::map<int32_t, int> counts;
  Sampler sampler(params, {});
  for (int i = 0; i < 4000; ++i) ++counts[SampleOnce(sampler, logits)];
  return counts;
}

std::set<int32_t> Support(const SamplingParams& params, const std::vector<float>& logits) {
  std::set<int32_t> ids;
  for (const auto& [id, count] : Draws(params, logits)) ids.insert(id);
  return ids;
}

std::vector<float> Logs(const std::vector<double>& probabilities) {
  std::vector<float> out;
  for (double p : probabilities) out.push_back(static_cast<float>(std::log(p)));
  return out;
}

ErrorCode CodeOf(const std::function<void()>& body, const std::string& mention) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(mention), std::string::npos) << e.what();
    return e.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

TEST(Sampler, GreedyTakesTheLowestIdAmongEquals) {
  Sampler sampler({.temperature = 0}, {});
  EXPECT_EQ(SampleOnce(sampler, {1, 3, 2, 3}), 1);
  EXPECT_EQ(SampleOnce(sampler, {-kInf, -kInf, -5, -kInf}), 2);
}

TEST(Sampler, PenaltyFormulas) {
  SamplingParams params{.repetition_penalty = 2,
                        .frequency_penalty = 0.5,
                        .presence_penalty = 0.25,
                        .temperature = 0};
  const std::vector<int32_t> prompt = {0, 1, 9000};  // an id beyond the logits is ignored
  Sampler sampler(params, prompt);
  EXPECT_EQ(SampleOnce(sampler, {0, 0, 8, 0, 0}), 2);
  EXPECT_EQ(SampleOnce(sampler, {0, 0, 9, 0, 0}), 2);
  EXPECT_EQ(SampleOnce(sampler, {0, 0, 0, 7, 0}), 3);
  std::vector<float> logits = {3, -3, 4, -4, 5};
  PenalizeRow(sampler.Next(), logits);
  // Prompt: repetition alone. Output: repetition, then frequency × count and presence.
  const std::vector<float> expected = {1.5f, -6.0f, 4.0f / 2 - 2 * 0.5f - 0.25f,
                                       -8.0f - 0.5f - 0.25f, 5.0f};
  EXPECT_EQ(logits, expected);
}

TEST(Sampler, TopK) {
  const std::vector<float> logits = {1, 5, 3, 5, 2, 3};
  EXPECT_EQ(Support({.top_k = 1}, logits), (std::set<int32_t>{1, 3}));  // as likely as the first
  EXPECT_EQ(Support({.top_k = 2}, logits), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(Support({.top_k = 3}, logits), (std::set<int32_t>{1, 2, 3, 5}));
  EXPECT_EQ(Support({.top_k = 100}, logits).size(), 6u);
  EXPECT_EQ(Support({.top_k = 0}, logits).size(), 6u);
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  const std::vector<float> logits = Logs({0.1, 0.4, 0.3, 0.2});
  EXPECT_EQ(Support({.top_p = 0.01}, logits), (std::set<int32_t>{1}));
  EXPECT_EQ(Support({.top_p = 0.39}, logits), (std::set<int32_t>{1}));
  EXPECT_EQ(Support({.top_p = 0.41}, logits), (std::set<int32_t>{1, 2}));
  EXPECT_EQ(Support({.top_p = 0.89}, logits), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(Support({.top_p = 0.95}, logits).size(), 4u);
}

TEST(Sampler, TopPCountsWhatTopKLeft) {
  const std::vector<float> logits = Logs({0.1, 0.4, 0.3, 0.2});
  // 0.4 / 0.7 = 0.571 of what top-k leaves.
  EXPECT_EQ(Support({.top_k = 2, .top_p = 0.56}, logits), (std::set<int32_t>{1}));
  EXPECT_EQ(Support({.top_k = 2, .top_p = 0.58}, logits), (std::set<int32_t>{1, 2}));
}

TEST(Sampler, TopPOverManyTokensSortsInPieces) {
  std::vector<float> logits(5000);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>((i * 7919) % 5000) * 1e-4f;
  double total = 0;
  for (float x : logits) total += std::exp(static_cast<double>(x));
  // Every token above a threshold, however many there are.
  double kept = 0;
  for (float x : logits) kept += x >= 0.2f ? std::exp(static_cast<double>(x)) : 0;
  const auto support = Support({.top_p = kept / total}, logits);
  for (int32_t id : support) EXPECT_GE(logits[static_cast<size_t>(id)], 0.1998f);
  EXPECT_GT(support.size(), 1500u);  // 4000 draws of about 3000
}

TEST(Sampler, MinPIsRelativeToTheMostLikely) {
  const std::vector<float> logits = Logs({0.1, 0.4, 0.3, 0.2});
  EXPECT_EQ(Support({.min_p = 0.76}, logits), (std::set<int32_t>{1}));
  EXPECT_EQ(Support({.min_p = 0.74}, logits), (std::set<int32_t>{1, 2}));
  EXPECT_EQ(Support({.min_p = 0.26}, logits), (std::set<int32_t>{1, 2, 3}));
  // After the temperature: at 2 the ratio 0.25 becomes 0.5.
  EXPECT_EQ(Support({.temperature = 2, .min_p = 0.49}, logits).size(), 4u);
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  const std::vector<double> p = {0.05, 0.4, 0.3, 0.15, 0.1};
  for (const double temperature : {1.0, 0.7, 1.6}) {
    double total = 0;
    for (double x : p) total += std::pow(x, 1 / temperature);
    const auto counts = Draws({.temperature = temperature, .seed = 42}, Logs(p));
    double chi = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      const double expected = 4000 * std::pow(p[i], 1 / temperature) / total;
      const double found = counts.at(static_cast<int32_t>(i));
      chi += (found - expected) * (found - expected) / expected;
    }
    EXPECT_LT(chi, 18.47) << temperature;  // 4 degrees of freedom, p = 0.001
  }
}

TEST(Sampler, SeedsDecide) {
  const std::vector<float> logits(1000, 0.0f);
  const auto run = [&](uint64_t seed) {
    Sampler sampler({.seed = seed}, {});
    std::vector<int32_t> out;
    for (int i = 0; i < 20; ++i) out.push_back(SampleOnce(sampler, logits));
    return out;
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

TEST(Sampler, OneTokenLeft) {
  for (const double temperature : {0.0, 1e-30, 1.0, 1e4}) {
    Sampler sampler({.temperature = temperature, .top_k = 3, .top_p = 0.5, .min_p = 0.5}, {});
    EXPECT_EQ(SampleOnce(sampler, {-kInf, -kInf, -1e30f, -kInf}), 2);
  }
}

TEST(Sampler, TinyTemperatureIsGreedy) {
  EXPECT_EQ(Support({.temperature = 1e-30}, {1e30f, -1e30f, 1.0001e30f}), (std::set<int32_t>{2}));
}

TEST(Sampler, LogitsThatAreNoNumbersAreNamed) {
  const auto sample = [](const SamplingParams& params, const std::vector<float>& logits) {
    return [=] {
      Sampler sampler(params, {});
      SampleOnce(sampler, logits);
    };
  };
  for (const double temperature : {0.0, 1.0}) {
    const SamplingParams params{.temperature = temperature};
    EXPECT_EQ(CodeOf(sample(params, {1, std::nanf(""), 3}), "token 1 is nan"),
              ErrorCode::kInternal);
    EXPECT_EQ(CodeOf(sample(params, {1, 2, kInf}), "token 2 is inf"), ErrorCode::kInternal);
    EXPECT_EQ(CodeOf(sample(params, {-kInf, -kInf}), "-inf"), ErrorCode::kInternal);
  }
}

TEST(Sampler, ParametersOutOfRangeAreNamed) {
  const auto make = [](const SamplingParams& params) {
    return [=] { Sampler sampler(params, {}); };
  };
  const double nan = std::nan("");
  for (const auto& [params, name] : std::vector<std::pair<SamplingParams, std::string>>{
           {{.temperature = -1}, "temperature"},
           {{.temperature = nan}, "temperature"},
           {{.top_k = -1}, "top_k"},
           {{.top_p = 0}, "top_p"},
           {{.top_p = 1.5}, "top_p"},
           {{.min_p = 1}, "min_p"},
           {{.repetition_penalty = 0}, "repetition_penalty"},
           {{.presence_penalty = 3}, "presence_penalty"},
           {{.frequency_penalty = -2.5}, "frequency_penalty"}}) {
    EXPECT_EQ(CodeOf(make(params), name), ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace awq
