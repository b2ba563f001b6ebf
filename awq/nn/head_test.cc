// A rounded head against the same model with its head as stored.
#include "awq/nn/head.h"

#include <gtest/gtest.h>

#include "awq/nn/testing/has_backend.h"
#include "awq/nn/tiny_models.h"

namespace awq {
namespace {

std::vector<float> LogitsWithHead(const std::string& backend_name, int bits) {
  const auto backend = MakeBackend(backend_name, 2);
  const WeightSource source = testing::OpenTiny("llama_gqa_tied");
  const CausalLm model(*backend, source, bits);
  Workspace scratch(*backend);
  ExecContext ctx{*backend, scratch, DType::kF32, nullptr};
  const KvPages pages(*backend, model.spec(), 0, model.spec().num_layers(), 16, DType::kF32);
  BatchBuilder builder;
  const std::vector<int32_t> one[] = {testing::LoadGoldens("llama_gqa_tied")[0].tokens};
  const Batch batch = BuildFreshBatch(builder, *backend, one);
  return testing::RunBatch(ctx, model, batch, pages);
}

TEST(Head, RoundedLogitsAreNear) {
  for (const char* backend : {"ref", "cpu", "cuda"}) {
    if (!testing::HasBackend(backend)) continue;
    const auto exact = LogitsWithHead(backend, 16);
    EXPECT_LE(testing::RelativeDifference(LogitsWithHead(backend, 8), exact), 0.01) << backend;
    EXPECT_LE(testing::RelativeDifference(LogitsWithHead(backend, 4), exact), 0.15) << backend;
    EXPECT_GT(testing::RelativeDifference(LogitsWithHead(backend, 4), exact), 1e-4) << backend;
  }
}

TEST(Head, RefusesOtherBits) { EXPECT_THROW(LogitsWithHead("ref", 6), Error); }

}  // namespace
}  // namespace awq
