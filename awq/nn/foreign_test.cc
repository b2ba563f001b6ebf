// Quantized checkpoints that AutoAWQ and compressed-tensors wrote, against the logits that
// Transformers computes from their weights, dequantized by readers that are not ours.
#include <gtest/gtest.h>

#include "awq/backend/make_backend.h"
#include "awq/nn/tiny_models.h"

namespace awq {
namespace {

// The cpu backend rounds the activations of quantized linears to 16 bits a block.
double Tolerance(const std::string& backend) { return backend == "cpu" ? 1e-3 : 1e-4; }

struct Case {
  std::string model;
  std::string backend;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.model << " on " << c.backend;
  }
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const std::string& name : testing::TinyModelNames("tiny_quantized")) {
    for (const char* backend : {"ref", "cpu"}) cases.push_back({name, backend});
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
  ExecContext ctx{*backend, scratch, DType::kF32, nullptr};
  const KvPages pages(*backend, model.spec(), 0, model.spec().num_layers(), 16, DType::kF32);
  const auto prompts = testing::LoadGoldens(GetParam().model, "tiny_quantized");
  ASSERT_GE(prompts.size(), 1u);
  for (const testing::GoldenPrompt& prompt : prompts) {
    BatchBuilder builder;
    const std::vector<int32_t> one[] = {prompt.tokens};
    const Batch batch = BuildFreshBatch(builder, *backend, one);
    const auto logits = testing::RunBatch(ctx, model, batch, pages);
    EXPECT_LE(testing::RelativeDifference(logits, prompt.logits), Tolerance(GetParam().backend));
  }
}

INSTANTIATE_TEST_SUITE_P(TinyQuantized, Foreign, ::testing::ValuesIn(AllCases()),
                         [](const auto& info) {
                           return info.param.model + "_" + info.param.backend;
                         });

}  // namespace
}  // namespace awq
