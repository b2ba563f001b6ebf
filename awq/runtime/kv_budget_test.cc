#include "awq/runtime/kv_budget.h"

#include <gtest/gtest.h>

#include <string>

#include "awq/base/error.h"

namespace awq {
namespace {

// Two layers of 2 heads of 64, and one latent layer of 48 + 16: in F16 1152 bytes a token.
ModelSpec Model() {
  ModelSpec model;
  model.layers.resize(3);
  for (size_t i = 0; i < 2; ++i) {
    auto& gqa = model.layers[i].attention.emplace<GqaSpec>();
    gqa.kv_heads = 2;
    gqa.head_size = 64;
  }
  auto& mla = model.layers[2].attention.emplace<MlaSpec>();
  mla.kv_rank = 48;
  mla.rope_size = 16;
  return model;
}

void Refused(const KvBudget& budget, ErrorCode code, const std::string& mention) {
  try {
    KvTokens(Model(), DType::kF16, budget);
    ADD_FAILURE() << mention;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_NE(std::string(e.what()).find(mention), std::string::npos) << e.what();
  }
}

TEST(KvBudget, BytesOfATokenInAllLayers) {
  EXPECT_EQ(KvBytesPerToken(Model(), DType::kF16), 2 * (2 * 2 * 2 * 64 + 64));
  EXPECT_EQ(KvBytesPerToken(Model(), DType::kF32), 2 * KvBytesPerToken(Model(), DType::kF16));
}

TEST(KvBudget, HoldsContextsInWholePagesWhereMemoryAllows) {
  constexpr int64_t kPage = 16 * 1152;
  const auto tokens = [](const KvBudget& b) { return KvTokens(Model(), DType::kF16, b); };
  EXPECT_EQ(tokens({.context = 100, .sequences = 3}), 3 * 112);
  EXPECT_EQ(tokens({.context = 100, .sequences = 3, .free = 100 * kPage}), 3 * 112);
  EXPECT_EQ(tokens({.context = 100, .sequences = 3, .free = 10 * kPage}), 9 * 16);
  EXPECT_EQ(tokens({.context = 100, .sequences = 3, .memory = 5 * kPage + 1, .free = 10 * kPage}),
            5 * 16);
  EXPECT_EQ(tokens({.context = 100, .memory = 50 * kPage}), 112);
}

TEST(KvBudget, RefusalsNameTheNumbers) {
  Refused({.context = 100, .memory = 18431}, ErrorCode::kInvalidArgument,
          "a page of 16 tokens takes 18432 bytes, the budget is 18431");
  Refused({.context = 100, .memory = 20000, .free = 19999}, ErrorCode::kOutOfMemory,
          "the budget is 20000 bytes, 19999 are free");
  Refused({.context = 100, .free = 18432}, ErrorCode::kOutOfMemory, "18432 are free");
  Refused({.context = 100, .sequences = 0}, ErrorCode::kInvalidArgument, "0 sequences");
}

}  // namespace
}  // namespace awq
