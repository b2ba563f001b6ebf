// Quantized checkpoints that AutoAWQ and compressed-tensors wrote, against the logits that
// Transformers computes from their weights, dequantized by readers that are not ours.
#include <gtest/gtest.h>

#include "awq/backend/make_backend.h"
#include "awq/nn/testing/has_backend.h"
#include "awq/nn/tiny_models.h"

namespace awq {
namespace {

struct Case {
  std::string model;
  std::string backend;
  DType act = DType::kF32;
  double tolerance = 1e-4;  // of the largest logit
  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.model << " on " << c.backend << " in " << NameOf(c.act);
  }
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  const bool cuda = testing::HasBackend("cuda");
  for (const std::string& name : testing::TinyModelNames("tiny_quantized")) {
    cases.push_back({name, "ref"});
    // It rounds the activations of quantized linears to 16 bits a block.
    cases.push_back({name, "cpu", DType::kF32, 1e-3});
    if (!cuda) continue;
    cases.push_back({name, "cuda"});
    cases.push_back({name, "cuda", DType::kF16, 2e-2});
    cases.push_back({name, "cuda", DType::kBF16, 16e-2});
  }
  return cases;
}

class Foreign : public ::testing::TestWithParam<Case> {};

TEST_P(Foreign, Logits) {
  const auto backend = MakeBackend(GetParam().backend, 2);
  const WeightSource source = testing::OpenTiny(GetParam().model, "tiny_quantized");
  EXPECT_EQ(source.checkpoint().format() != nullptr, GetParam().model != "source");
  const CausalLm model(*backend, source);
  Workspace scratch(*backend);
  const DType act = GetParam().act;
  ExecContext ctx{*backend, scratch, act, nullptr};
  const KvPages pages(*backend, model.spec(), 0, model.spec().num_layers(), 16, act);
  const auto prompts = testing::LoadGoldens(GetParam().model, "tiny_quantized");
  ASSERT_GE(prompts.size(), 1u);
  for (const testing::GoldenPrompt& prompt : prompts) {
    BatchBuilder builder;
    const std::vector<int32_t> one[] = {prompt.tokens};
    const Batch batch = BuildFreshBatch(builder, *backend, one);
    const auto logits = testing::RunBatch(ctx, model, batch, pages);
    EXPECT_LE(testing::RelativeDifference(logits, prompt.logits), GetParam().tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(TinyQuantized, Foreign, ::testing::ValuesIn(AllCases()),
                         [](const auto& info) {
                           const Case& c = info.param;
                           return Cat(c.model, "_", c.backend,
                                      c.act == DType::kF32 ? "" : Cat("_", NameOf(c.act)));
                         });

}  // namespace
}  // namespace awq
