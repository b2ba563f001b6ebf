// Quantizing routed experts: those that no token reaches, and what stays in 16 bits.
#include <gtest/gtest.h>

#include "awq/quant/starved_experts.h"
#include "awq/quant/testing/quantize_tiny.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

struct Written {
  std::shared_ptr<const Checkpoint> written;
  std::vector<LinearOutcome> outcomes;
  std::vector<std::string> warnings;
};

Written Quantize(const std::string& model, const std::string& method,
                 const std::vector<TokenBlock>& blocks, const fs::path& folder) {
  Written run;
  StarvedExperts starved;
  run.written = testing::QuantizeTiny(fs::path(AWQ_TESTDATA) / "tiny" / model, folder,
                                      {.method = method,
                                       .rule = {.scheme = {.bits = 4, .group = 32}},
                                       .blocks = blocks,
                                       .linear_done = [&](const LinearOutcome& o) {
                                         starved.Note(o);
                                         run.outcomes.push_back(o);
                                       }});
  run.warnings = starved.Warnings();
  return run;
}

class Experts : public ::testing::TestWithParam<std::string> {
 protected:
  ~Experts() override { fs::remove_all(folder_); }
  fs::path folder_ =
      fs::path(::testing::TempDir()) /
      Cat("awq_experts_", ::testing::UnitTest::GetInstance()->current_test_info()->line(), "_",
          GetParam());
};

// Seven tokens reach no expert often enough: all of them are rounded by weights alone and named.
TEST_P(Experts, WithFewTokensAreReported) {
  const Written run = Quantize("mixtral", GetParam(), {{5, 9, 17, 33, 65, 80, 99}}, folder_);
  ASSERT_EQ(run.warnings.size(), 2u);  // layers
  EXPECT_NE(run.warnings[0].find("layer 0: experts 0 ("), std::string::npos) << run.warnings[0];
  EXPECT_NE(run.warnings[0].find("of 6 read fewer than 32"), std::string::npos) << run.warnings[0];
  int64_t pairs = 0;
  double before = 0;  // of all: they share the scale of the norm
  double after = 0;
  for (const LinearOutcome& o : run.outcomes) {
    if (o.id.expert < 0) continue;
    before += o.error_before;
    after += o.error_after;
    EXPECT_GT(o.error_after, 0) << LinearName(o.id);
    if (o.layer == 0 && o.id.role == Role::kExpertGate) pairs += o.tokens;
  }
  EXPECT_LE(after, before * 1.0001);
  EXPECT_EQ(pairs, 14);  // two experts a token
}

TEST_P(Experts, RoutersStayAndAreListed) {
  const std::vector<TokenBlock> blocks(8, TokenBlock{3, 7, 11, 90, 41, 52, 63, 74, 15, 26, 37, 48});
  const Written run = Quantize("qwen2_moe", GetParam(), blocks, folder_);
  const RawJson skipped =
      run.written->config().raw()["quantization_config"]["modules_to_not_convert"];
  for (const char* module : {"model.layers.1.mlp.gate", "model.layers.1.mlp.shared_expert_gate"}) {
    EXPECT_NE(std::find(skipped.begin(), skipped.end(), module), skipped.end()) << module;
    EXPECT_EQ(run.written->Get(Cat(module, ".weight")).dtype(), DType::kBF16);
    EXPECT_FALSE(run.written->IsQuantized(module));
  }
  EXPECT_TRUE(run.written->IsQuantized("model.layers.1.mlp.experts.5.down_proj"));
  EXPECT_TRUE(run.written->IsQuantized("model.layers.1.mlp.shared_expert.up_proj"));
}

INSTANTIATE_TEST_SUITE_P(Methods, Experts, ::testing::Values("awq", "gptq", "joint"));

// AutoAWQ rescales what experts read and leaves the router as it was: there is nothing to match.
TEST(AutoAwqParity, RefusesExperts) {
  const fs::path folder = fs::path(::testing::TempDir()) / "awq_parity_experts";
  try {
    Quantize("mixtral", "autoawq", {{5, 9, 17, 33, 65, 80, 99}}, folder);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUnsupported) << e.what();
  }
  fs::remove_all(folder);
}

// An expert without tokens takes the place of none: its range alone is searched.
TEST(WeightOnlyMoments, LeaveColumnsAlike) {
  const SiteMoments m = WeightOnlyMoments(3, 5);
  EXPECT_EQ(m.tokens, 5);
  EXPECT_TRUE(m.drift.empty());
  for (int64_t i = 0; i < 9; ++i) {
    EXPECT_EQ(m.gram.As<const float>()[i], i % 4 == 0 ? 1.0f : 0.0f);
  }
}

}  // namespace
}  // namespace awq
