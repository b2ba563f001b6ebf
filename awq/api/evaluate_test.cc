// Evaluate: log likelihoods of Transformers on models/demo, both protocols; divergences; refusals.
#include "awq/api/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "awq/api/internal/scratch_folder.h"
#include "awq/base/error.h"
#include "awq/base/json.h"

namespace awq {
namespace {

const std::filesystem::path kDemo = AWQ_SOURCE_DIR "/models/demo";
const std::filesystem::path kSample = kDemo / "sample.txt";

EvaluateOptions Demo() {
  return {.models = {kDemo}, .text = kSample, .max_windows = 2, .device = "cpu"};
}

// sample.txt is the beginning of WikiText-2 "valid".
double GoldenNll(const std::string& protocol, size_t windows) {
  const auto sums = Json::Load(kDemo / "golden.json")
                        .At("perplexity")
                        .At("wikitext2-valid.txt")
                        .At("first_windows_nll_sum_" + protocol)
                        .AsArray();
  double sum = 0;
  for (size_t i = 0; i < windows; ++i) sum += sums[i].AsDouble();
  return sum;
}

void Refused(const EvaluateOptions& options, ErrorCode code, const std::string& mention,
             const EvaluateCallbacks& callbacks = {}) {
  try {
    Evaluate(options, callbacks);
    ADD_FAILURE() << "no error: " << mention;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_NE(std::string(e.what()).find(mention), std::string::npos) << e.what();
  }
}

TEST(Evaluate, BosWindowsOfTransformers) {
  const auto results = Evaluate(Demo());
  ASSERT_EQ(results.size(), 1u);
  const EvaluateResult& r = results[0];
  EXPECT_TRUE(r.bos);
  EXPECT_EQ(r.tokens, 2 * 1023);
  EXPECT_NEAR(r.nll * static_cast<double>(r.tokens) / GoldenNll("bos", 2), 1, 1e-5);
  EXPECT_DOUBLE_EQ(r.perplexity, std::exp(r.nll));
  EXPECT_FALSE(r.divergence.has_value());
}

TEST(Evaluate, PlainWindowsOfTransformers) {
  EvaluateOptions options = Demo();
  options.bos = false;
  const EvaluateResult r = Evaluate(options)[0];
  EXPECT_FALSE(r.bos);
  EXPECT_EQ(r.tokens, 2 * 1023);
  EXPECT_NEAR(r.nll * static_cast<double>(r.tokens) / GoldenNll("plain", 2), 1, 1e-5);
}

TEST(Evaluate, AModelIsItself) {
  EvaluateOptions options = Demo();
  options.models = {kDemo, kDemo};
  options.reference = kDemo;
  options.max_windows = 1;
  int calls = 0;
  const auto results = Evaluate(options, {.progress = [&](const EvaluateProgress& p) {
                                  ++calls;
                                  EXPECT_EQ(p.windows, 1);
                                  EXPECT_EQ(p.perplexities.size(), 2u);
                                }});
  EXPECT_EQ(calls, 1);
  ASSERT_EQ(results.size(), 2u);
  for (const EvaluateResult& r : results) {
    ASSERT_TRUE(r.divergence.has_value());
    EXPECT_LT(r.divergence->p999, 1e-9);
    EXPECT_EQ(r.divergence->top1, 1);
  }
}

TEST(Evaluate, AnotherModelIsNot) {
  const testing::ScratchFolder folder;
  const auto changed = folder.Copy(kDemo, "changed");
  testing::Replace(changed / "config.json", "\"rope_theta\": 10000.0", "\"rope_theta\": 9000.0");
  EvaluateOptions options = Demo();
  options.models = {changed};
  options.reference = kDemo;
  options.max_windows = 1;
  const EvaluateResult r = Evaluate(options)[0];
  const Divergence d = r.divergence.value();
  EXPECT_GT(d.mean, 1e-4);
  EXPECT_LE(d.median, d.mean);
  EXPECT_LE(d.mean, d.p99);
  EXPECT_LE(d.p99, d.p999);
  EXPECT_LT(d.top1, 1);
  EXPECT_GT(d.top1, 0.5);
}

// Windows that share a forward pass are independent of each other.
TEST(Evaluate, AnE4m3CacheCostsLittle) {
  EvaluateOptions options = Demo();
  options.max_windows = 1;
  options.reference = kDemo;
  options.kv_type = "fp8";
  const EvaluateResult r = Evaluate(options)[0];
  ASSERT_TRUE(r.divergence.has_value());
  EXPECT_NEAR(r.divergence->reference_perplexity, std::exp(GoldenNll("bos", 1) / 1023), 1e-3);
  EXPECT_GT(r.divergence->mean, 1e-6);
  EXPECT_LT(r.divergence->mean, 1e-2);
  options.kv_type = "fp4";
  Refused(options, ErrorCode::kInvalidArgument, "expected auto, f32, bf16, f16 or fp8");
}

TEST(Evaluate, SmallWindowsAreBatched) {
  EvaluateOptions options = Demo();
  options.window = 50;
  options.max_windows = 30;
  const EvaluateResult all = Evaluate(options)[0];
  options.max_windows = 1;
  const EvaluateResult first = Evaluate(options)[0];
  options.max_windows = 3;
  const EvaluateResult three = Evaluate(options)[0];
  EXPECT_EQ(all.tokens, 30 * 49);
  EXPECT_EQ(first.tokens, 49);
  EXPECT_EQ(three.tokens, 3 * 49);
  EXPECT_NE(first.nll, three.nll);
}

TEST(Evaluate, Refusals) {
  const testing::ScratchFolder folder;
  EvaluateOptions options = Demo();
  options.window = 4096;
  Refused(options, ErrorCode::kInvalidArgument, "at most 2048");
  options.window = 1;
  Refused(options, ErrorCode::kInvalidArgument, "at least 2");
  options = Demo();
  options.models.clear();
  Refused(options, ErrorCode::kInvalidArgument, "no model");
  options = Demo();
  options.text = folder.Write("short.txt", "a few words");
  options.bos = false;
  Refused(options, ErrorCode::kInvalidArgument, "too few");
  options.text = folder.path() / "none.txt";
  Refused(options, ErrorCode::kNotFound, "none.txt");
  Refused(Demo(), ErrorCode::kCancelled, "cancelled", {.cancelled = [] { return true; }});

  const auto other = folder.Copy(kDemo, "other");
  testing::Replace(other / "tokenizer.json", "\"Ġthe\"", "\"Ġthx\"");
  options = Demo();
  options.models = {other};
  options.reference = kDemo;
  try {
    Evaluate(options);
    ADD_FAILURE();
  } catch (const Error& e) {
    // Either the tokenizer finds its own merges contradicted, or its tokens differ.
    EXPECT_TRUE(e.code() == ErrorCode::kInvalidArgument || e.code() == ErrorCode::kCorrupt)
        << e.what();
  }
}

TEST(Evaluate, NanWeightsAreNamed) {
  const testing::ScratchFolder folder;
  const auto bad = folder.Copy(kDemo, "bad");
  std::fstream file(bad / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-2, std::ios::end);
  file.write("\xc0\x7f", 2);  // bf16 NaN in the last tensor
  file.close();
  EvaluateOptions options = Demo();
  options.models = {bad};
  Refused(options, ErrorCode::kInternal, "bad: logits of window 0 are not finite");
}

}  // namespace
}  // namespace awq
