// Every tiny checkpoint against the f32 logits of Transformers, on every backend of the host: whole
// prompts, a batch of unequal prompts, and token by token.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "awq/backend/make_backend.h"
#include "awq/nn/tiny_models.h"

namespace awq {
namespace {

using testing::GoldenPrompt;
constexpr double kTolerance = 1e-4;

struct Case {
  std::string model;
  std::string backend;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.model << " on " << c.backend;
  }
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const std::string& name : testing::TinyModelNames()) {
    for (const char* backend : {"ref", "cpu"}) cases.push_back({name, backend});
  }
  return cases;
}

class Golden : public ::testing::TestWithParam<Case> {
 protected:
  Golden()
      : backend_(MakeBackend(GetParam().backend, 2)),
        source_(testing::OpenTiny(GetParam().model)),
        model_(*backend_, source_),
        scratch_(*backend_),
        ctx_{*backend_, scratch_, DType::kF32, nullptr},
        pages_(*backend_, model_.spec(), 0, model_.spec().num_layers(), 16, DType::kF32),
        prompts_(testing::LoadGoldens(GetParam().model)) {}

  std::unique_ptr<Backend> backend_;
  WeightSource source_;
  CausalLm model_;
  Workspace scratch_;
  ExecContext ctx_;
  KvPages pages_;
  std::vector<GoldenPrompt> prompts_;
};

TEST_P(Golden, WholePrompt) {
  ASSERT_GE(prompts_.size(), 2u);
  for (const GoldenPrompt& prompt : prompts_) {
    BatchBuilder builder;
    const std::vector<int32_t> one[] = {prompt.tokens};
    const Batch batch = BuildFreshBatch(builder, *backend_, one);
    const auto logits = testing::RunBatch(ctx_, model_, batch, pages_);
    EXPECT_LE(testing::RelativeDifference(logits, prompt.logits), kTolerance);
  }
}

TEST_P(Golden, UnequalBatch) {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<float> expected;
  for (const GoldenPrompt& prompt : prompts_) {
    tokens.push_back(prompt.tokens);
    expected.insert(expected.end(), prompt.logits.begin(), prompt.logits.end());
  }
  BatchBuilder builder;
  const Batch batch = BuildFreshBatch(builder, *backend_, tokens);
  const auto logits = testing::RunBatch(ctx_, model_, batch, pages_);
  EXPECT_LE(testing::RelativeDifference(logits, expected), kTolerance);
}

TEST_P(Golden, TokenByToken) {
  // Keys that were written at another length keep that length's rotation, here as in Transformers;
  // the goldens rotate all of them alike.
  const bool by_length = model_.spec().layers[0].attention.rope.DependsOnLength();
  const GoldenPrompt& prompt = by_length ? prompts_[1] : prompts_[0];
  std::vector<int32_t> table(8);
  std::iota(table.rbegin(), table.rend(), 3);  // pages out of order
  std::vector<float> logits;
  for (size_t t = 0; t < prompt.tokens.size(); ++t) {
    BatchBuilder builder;
    builder.Add({&prompt.tokens[t], 1}, static_cast<int64_t>(t), table);
    const auto row = testing::RunBatch(ctx_, model_, builder.Build(*backend_), pages_);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  EXPECT_LE(testing::RelativeDifference(logits, prompt.logits), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Golden, ::testing::ValuesIn(AllCases()), [](const auto& info) {
  return info.param.model + "_" + info.param.backend;
});

}  // namespace
}  // namespace awq
