// Every tiny checkpoint against the f32 logits of Transformers, on every backend of this machine:
// whole prompts, a batch of unequal prompts, and token by token.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "awq/backend/make_backend.h"
#include "awq/nn/testing/has_backend.h"
#include "awq/nn/tiny_models.h"

namespace awq {
namespace {

using testing::GoldenPrompt;

struct Case {
  std::string model;
  std::string backend;
  DType act = DType::kF32;
  double tolerance = 1e-4;  // of the largest logit
  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.model << " on " << c.backend << " in " << NameOf(c.act);
  }
};

// In 16 bits. Two models have a token whose experts are nearly tied and which then goes to others:
// so far off, within 1 %, is ref too when it computes in these types.
double Tolerance16(const std::string& model, DType act) {
  if (model == "mixtral" && act == DType::kBF16) return 0.46;
  if (model == "deepseek_v3") return act == DType::kBF16 ? 0.28 : 0.12;
  return act == DType::kBF16 ? 16e-2 : 2e-2;
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  const bool cuda = testing::HasBackend("cuda");
  for (const std::string& name : testing::TinyModelNames()) {
    for (const char* backend : {"ref", "cpu"}) cases.push_back({name, backend});
    if (!cuda) continue;
    cases.push_back({name, "cuda"});
    for (DType act : {DType::kF16, DType::kBF16})
      cases.push_back({name, "cuda", act, Tolerance16(name, act)});
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
        ctx_{*backend_, scratch_, GetParam().act, nullptr},
        pages_(*backend_, model_.spec(), 0, model_.spec().num_layers(), 16, GetParam().act),
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
    EXPECT_LE(testing::RelativeDifference(logits, prompt.logits), GetParam().tolerance);
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
  EXPECT_LE(testing::RelativeDifference(logits, expected), GetParam().tolerance);
}

TEST_P(Golden, TokenByToken) {
  // Keys that were written at another length keep that length's rotation, here as in Transformers;
  // the goldens rotate all of them alike.
  const bool by_length = RopeOf(model_.spec().layers[0]).DependsOnLength();
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
  EXPECT_LE(testing::RelativeDifference(logits, prompt.logits), GetParam().tolerance);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Golden, ::testing::ValuesIn(AllCases()), [](const auto& info) {
  const Case& c = info.param;
  return Cat(c.model, "_", c.backend, c.act == DType::kF32 ? "" : Cat("_", NameOf(c.act)));
});

}  // namespace
}  // namespace awq
