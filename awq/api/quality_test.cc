// The passport of the demo model, rounded, against Evaluate() on the same text.
#include "awq/api/quality.h"

#include <gtest/gtest.h>

#include "awq/api/evaluate.h"
#include "awq/api/internal/passport.h"
#include "awq/api/internal/scratch_folder.h"
#include "awq/api/quantize.h"
#include "awq/api/verify.h"
#include "awq/base/error.h"
#include "awq/checkpoint/safetensors.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

const fs::path kDemo = fs::path(AWQ_SOURCE_DIR) / "models" / "demo";

class Quality : public ::testing::Test {
 protected:
  fs::path Quantized(int64_t group = 128) const {
    fs::path out = scratch_.path() / "out";
    Quantize({.model = kDemo,
              .output = out,
              .method = "rtn",
              .format = "compressed-tensors",
              .group = group,
              .eval_tokens = 1022});
    return out;
  }
  const testing::ScratchFolder scratch_;
};

TEST_F(Quality, AgreesWithEvaluate) {
  const fs::path model = Quantized();
  const RawJson passport = Json::Load(model / kPassportName).raw();
  const RawJson& results = passport.at("results");
  const RawJson& ours = results.at("quantized");
  const EvaluateResult r = Evaluate({.models = {model},
                                     .text = "builtin",
                                     .reference = kDemo,
                                     .window = 512,
                                     .max_windows = 2})
                               .front();
  EXPECT_EQ(results.at("text").at("tokens"), r.tokens);
  EXPECT_NEAR(ours.at("perplexity").get<double>(), r.perplexity, 1e-4 * r.perplexity);
  EXPECT_NEAR(ours.at("kld_mean").get<double>(), r.divergence->mean, 1e-3 * r.divergence->mean);
  EXPECT_NEAR(ours.at("kld_p99").get<double>(), r.divergence->p99, 1e-2 * r.divergence->p99);
  EXPECT_NEAR(ours.at("top1").get<double>(), r.divergence->top1, 2e-3);
  EXPECT_NEAR(results.at("source").at("perplexity").get<double>(),
              r.divergence->reference_perplexity, 1e-4 * r.perplexity);
  // The checkpoint is what plain rounding is.
  EXPECT_EQ(results.at("rtn"), ours);
  int64_t tokens = 0;
  for (const RawJson& count : ours.at("kld_histogram")) tokens += count.get<int64_t>();
  EXPECT_EQ(tokens, r.tokens);
  EXPECT_EQ(results.at("layers").size(), 8u);
  const RawJson& worst = results.at("worst_tokens");
  ASSERT_EQ(worst.size(), 10u);
  for (size_t i = 1; i < worst.size(); ++i) EXPECT_LE(worst[i].at("kld"), worst[i - 1].at("kld"));
  int64_t parameters = 0;
  for (const RawJson& b : results.at("bits")) parameters += b.at("parameters").get<int64_t>();
  EXPECT_EQ(parameters, 18880896);
  EXPECT_TRUE(fs::exists(model / kPassportPage));
  const auto metadata = SafetensorsFile::Open(model / "model.safetensors")->Metadata();
  EXPECT_EQ(metadata.at(std::string(kDigestKey)), passport.at("digest"));
}

TEST_F(Quality, VerifyFindsWhatWasChanged) {
  const fs::path model = Quantized(64);
  const auto problems = [&](bool remeasure) {
    return Verify({.model = model, .source = kDemo, .remeasure = remeasure}).problems;
  };
  EXPECT_EQ(problems(true), std::vector<std::string>{});
  RawJson passport = Json::Load(model / kPassportName).raw();
  fs::remove(model / "awq_manifest.json");  // it would notice, too
  RawJson better = passport;
  better["results"]["quantized"]["kld_mean"] = 1e-6;
  std::ofstream(model / kPassportName) << better.dump();
  ASSERT_EQ(problems(false).size(), 1u);
  EXPECT_NE(problems(false)[0].find("results have changed"), std::string::npos);
  EXPECT_EQ(problems(true).size(), 2u);
  better["results"].erase("rtn");
  std::ofstream(model / kPassportName) << better.dump();
  EXPECT_NE(problems(false)[0].find("no quality passport"), std::string::npos);
  std::ofstream(model / kPassportName) << passport.dump();
  std::ofstream(model / "model.safetensors", std::ios::app) << "";
  EXPECT_EQ(problems(false), std::vector<std::string>{});
}

TEST_F(Quality, RefusesWhatCannotBeCompared) {
  EXPECT_THROW(MeasureQuality({.model = kDemo, .source = kDemo}), Error);
  const fs::path tiny = fs::path(AWQ_TESTDATA) / "tiny" / "llama";
  EXPECT_THROW(MeasureQuality({.model = tiny, .source = kDemo}), Error);
}

TEST_F(Quality, NoPassportLeavesNoFiles) {
  const fs::path out = scratch_.path() / "out";
  Quantize({.model = kDemo, .output = out, .method = "rtn", .passport = false});
  EXPECT_FALSE(fs::exists(out / kPassportName));
  EXPECT_FALSE(fs::exists(out / kPassportPage));
  EXPECT_EQ(SafetensorsFile::Open(out / "model.safetensors")->Metadata().count("awq_quality"), 0u);
  EXPECT_TRUE(Verify({.model = out}).ok());
}

}  // namespace
}  // namespace awq
