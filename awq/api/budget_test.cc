// Mixed formats by budget, on the demo model.
#include <gtest/gtest.h>

#include "awq/api/evaluate.h"
#include "awq/api/inspect.h"
#include "awq/api/internal/scratch_folder.h"
#include "awq/api/quantize.h"
#include "awq/api/verify.h"
#include "awq/base/error.h"
#include "awq/base/json.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

const fs::path kDemo = fs::path(AWQ_SOURCE_DIR) / "models" / "demo";

class Budget : public ::testing::Test {
 protected:
  QuantizeOptions Options(const std::string& name) const {
    return {.model = kDemo,
            .output = scratch_.path() / name,
            .method = "rtn",
            .format = "compressed-tensors",
            .max_calib_samples = 4,
            .max_calib_seq_len = 256,
            .reuse = scratch_.path() / "search",
            .eval_tokens = 1022};
  }
  const testing::ScratchFolder scratch_;
};

TEST_F(Budget, MixedCheckpointsLoadAndKeepTheBudget) {
  QuantizeOptions options = Options("a");
  options.target_bits = 5.5;
  const QuantizeReport a = Quantize(options);
  EXPECT_LE(a.bits_per_weight, 5.5);
  EXPECT_GT(a.bits_per_weight, 5);
  EXPECT_TRUE(Verify({.model = options.output, .source = kDemo}).ok());
  const RawJson config = Json::Load(options.output / "config.json").raw();
  EXPECT_GT(config.at("quantization_config").at("config_groups").size(), 1u);
  for (size_t i = 1; i < a.curve.size(); ++i) {
    EXPECT_GT(a.curve[i].bits, a.curve[i - 1].bits);
    EXPECT_LT(a.curve[i].predicted_kld, a.curve[i - 1].predicted_kld);
  }
  // Its prediction is not far from what was measured, which is plain rounding here.
  double predicted = 0;
  for (const TradeOffPoint& p : a.curve) {
    if (p.chosen) predicted = p.predicted_kld;
  }
  const double measured = a.quality->quantized.divergence.mean;
  EXPECT_GT(predicted, 0.5 * measured);
  EXPECT_LT(predicted, 2 * measured);
  // Another point is chosen without a search, and more bits are better.
  QuantizeOptions more = Options("b");
  more.target_bits = 8;
  bool searched = false;
  QuantizeCallbacks callbacks;
  callbacks.searching = [&](double) { searched = true; };
  const QuantizeReport b = Quantize(more, callbacks);
  EXPECT_FALSE(searched);
  EXPECT_LT(b.quality->quantized.divergence.mean, 0.7 * measured);
  more = Options("c");
  more.target_bits = 5;
  more.symmetric = true;
  EXPECT_THROW(Quantize(more), Error);  // the search was for other formats
}

TEST_F(Budget, AwqGemmMixesFourAndSixteenBits) {
  QuantizeOptions options = Options("d");
  options.format = "awq_gemm";
  options.reuse.clear();
  options.target_bits = 7;
  const QuantizeReport report = Quantize(options);
  EXPECT_LE(report.bits_per_weight, 7);
  EXPECT_FALSE(Inspect(options.output).skipped.empty());
  EXPECT_TRUE(Verify({.model = options.output, .source = kDemo}).ok());
}

TEST_F(Budget, ExpertsShareAFormat) {
  QuantizeOptions options = Options("moe");
  options.model = fs::path(AWQ_TESTDATA) / "tiny" / "mixtral";
  options.group = 32;
  options.calib = scratch_.path() / "tokens.jsonl";
  std::ofstream(options.calib) << R"({"tokens": [1, 5, 9, 3, 7, 2, 8, 4, 6, 11, 13, 12, 10, 15]})";
  options.passport = false;
  options.target_bits = 7;
  const QuantizeReport report = Quantize(options);
  EXPECT_LE(report.bits_per_weight, 7);
  EXPECT_GT(report.bits_per_weight, 5);
  EXPECT_TRUE(Verify({.model = options.output, .source = options.model}).ok());
}

// What is measured first counts, until it is kept.
TEST_F(Budget, PlansTheSearch) {
  QuantizeOptions options = Options("plan");
  options.target_bits = 5.5;
  const QuantizePlan plan = PlanQuantize(options, {});
  EXPECT_EQ(plan.units.front().name, "formats");
  EXPECT_GT(plan.units.front().seconds, 0);
  EXPECT_GE(plan.memory, plan.units.front().memory);
  options.memory_limit = 1 << 20;
  options.method = "awq";
  EXPECT_THROW(Quantize(options), Error);
  EXPECT_FALSE(fs::exists(options.output));
  options.memory_limit = 0;
  options.method = "rtn";
  options.curve_only = true;
  Quantize(options);
  options.curve_only = false;
  EXPECT_NE(PlanQuantize(options, {}).units.front().name, "formats");
  EXPECT_EQ(std::distance(fs::directory_iterator(options.reuse), {}), 1);  // no streams are left
}

TEST_F(Budget, RefusesWhatCannotBe) {
  QuantizeOptions options = Options("e");
  options.target_bits = 4;
  EXPECT_THROW(Quantize(options), Error);  // scales take more
  options.target_bits = 5;
  options.max_kld = 0.01;
  EXPECT_THROW(Quantize(options), Error);
  EXPECT_FALSE(fs::exists(options.output));
}

}  // namespace
}  // namespace awq
