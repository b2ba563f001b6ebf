#include "awq/backend/cuda/fused_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace awq::cuda {
namespace {

constexpr int kSms = 132;  // of an H200
constexpr int kShared = 227 << 10;
constexpr int kBlock = 1072;  // groups of 128 with zero points

constexpr FusedShape kLlama8b{.num_layers = 32,
                              .hidden = 4096,
                              .heads = 32,
                              .kv_heads = 8,
                              .head_size = 128,
                              .ffn = 14336,
                              .block_bytes = kBlock};
constexpr FusedShape kLlama13b{.num_layers = 40,
                               .hidden = 5120,
                               .heads = 40,
                               .kv_heads = 40,
                               .head_size = 128,
                               .ffn = 13824,
                               .block_bytes = kBlock};
constexpr FusedShape kSmall{.num_layers = 8,
                            .hidden = 384,
                            .heads = 6,
                            .kv_heads = 2,
                            .head_size = 64,
                            .ffn = 1024,
                            .block_bytes = 1056};

constexpr FusedShape kMoe30b{.num_layers = 48,
                             .hidden = 2048,
                             .heads = 32,
                             .kv_heads = 4,
                             .head_size = 128,
                             .ffn = 8 * 768,
                             .experts = 128,
                             .active = 8,
                             .block_bytes = kBlock};

constexpr FusedShape kGemma9b{.num_layers = 42,
                              .hidden = 3584,
                              .heads = 16,
                              .kv_heads = 8,
                              .head_size = 256,
                              .ffn = 14336,
                              .block_bytes = kBlock,
                              .sandwich = true};

// [begin, end) of what lies in shared memory at one time, with the bytes that each part needs.
std::vector<std::pair<int, int>> PartsOf(const FusedShape& s, const FusedPlan& plan) {
  const FusedShared& at = plan.shared;
  const int units = std::max({s.hidden, s.heads * s.head_size, s.ffn}) / 128;
  const int group = plan.group_heads;
  const int outputs = std::max((s.heads + 2 * s.kv_heads) * s.head_size, s.hidden) / 16;
  const std::vector<std::pair<int, int>> places = {
      {0, at.slots * at.slot_bytes},
      {at.digits, std::max(units * 384, 16 * group * s.head_size * 4)},
      {at.scales, units * 32},
      {at.sums,
       std::max((outputs + plan.blocks - 1) / plan.blocks * 1024,
                plan.splits * 3 * 4 * ((group * s.head_size + plan.splits - 1) / plan.splits))},
      {at.pages, s.sandwich ? 0 : FusedPages(plan.splits) * 4},
      {at.cosines, (s.sandwich ? 2 : 1) * s.head_size * 4},
      {at.queries, group * s.head_size * 4},
      {at.tokens, 2 * s.head_size * 2},
      {at.statistics, group * 16 * 8},
      {at.parts, 2 * 16 * 4},
      {at.layers, s.num_layers * static_cast<int>(sizeof(FusedLayer))},
      {at.routers, s.experts > 0 ? s.num_layers * static_cast<int>(sizeof(FusedRouter)) : 0},
      {at.experts, s.experts * static_cast<int>(sizeof(FusedExpert))},
      {at.chosen, s.active * static_cast<int>(sizeof(FusedExpert))},
      {at.logits, s.experts * 4},
      {at.keys, s.experts > 0 ? 1024 : 0},
      {at.picked, s.active * 4},
      {at.router_sums, (s.experts + plan.blocks - 1) / plan.blocks * 16 * 4},
      {at.routed, s.experts > 0 ? 8 : 0},
      {at.sandwiches, s.sandwich ? s.num_layers * static_cast<int>(sizeof(FusedSandwich)) : 0},
      {at.squares, s.sandwich ? 16 * 4 : 0},
      {at.barriers, 16 * at.slots}};
  std::vector<std::pair<int, int>> parts;
  for (const auto& [begin, bytes] : places) parts.emplace_back(begin, begin + bytes);
  std::ranges::sort(parts);
  return parts;
}

TEST(FusedPlan, PartsLieApartInsideTheMemory) {
  for (const FusedShape& shape : {kLlama8b, kLlama13b, kSmall, kMoe30b, kGemma9b}) {
    const auto plan = PlanFused(shape, kSms, kShared);
    ASSERT_TRUE(plan) << shape.hidden;
    int end = 0;
    for (const auto& [begin, after] : PartsOf(shape, *plan)) {
      EXPECT_GE(begin, end) << shape.hidden;
      EXPECT_EQ(begin % 16, 0);
      end = after;
    }
    EXPECT_LE(end, plan->shared.bytes);
    EXPECT_LE(plan->shared.bytes, kShared);
    EXPECT_EQ(plan->shared.merge, plan->shared.digits);
    // Sums of gate and up: behind their digits, before what all linears have.
    EXPECT_GE(plan->shared.gate_up_sums, plan->shared.digits + shape.hidden * 3);
    const int tiles = (2 * shape.ffn / 16 + plan->blocks - 1) / plan->blocks;
    EXPECT_LE(plan->shared.gate_up_sums + tiles * 1024, plan->shared.scales);
    EXPECT_EQ(plan->shared.slot_bytes % 128, 0);  // bulk copies are slower elsewhere
  }
}

TEST(FusedPlan, AKvHeadsKeysGoToAsManyBlocksAsThereAre) {
  EXPECT_EQ(PlanFused(kLlama8b, kSms, kShared)->splits, 16);
  EXPECT_EQ(PlanFused(kLlama13b, kSms, kShared)->splits, 3);
}

TEST(FusedPlan, BlocksWithoutKeysTakeAPartOfTheHeads) {
  EXPECT_EQ(PlanFused(kLlama8b, kSms, kShared)->groups, 8);
  EXPECT_EQ(PlanFused(kMoe30b, kSms, kShared)->groups, 8);
  EXPECT_EQ(PlanFused(kMoe30b, kSms, kShared)->splits, 16);
  FusedShape odd = kLlama8b;  // Qwen2.5-7B's heads: four and three of a kv head's seven
  odd.heads = 28;
  odd.kv_heads = 4;
  EXPECT_EQ(PlanFused(odd, kSms, kShared)->groups, 8);
  EXPECT_EQ(PlanFused(odd, kSms, kShared)->group_heads, 4);
  odd.heads = 40;  // Qwen2.5-14B's: three and two of five, since more than four take long
  odd.kv_heads = 8;
  EXPECT_EQ(PlanFused(odd, kSms, kShared)->groups, 16);
  EXPECT_EQ(PlanFused(odd, kSms, kShared)->group_heads, 3);
  EXPECT_EQ(PlanFused(odd, kSms, kShared)->splits, 8);
  odd.heads = odd.kv_heads = 4;  // none has less than a head
  EXPECT_EQ(PlanFused(odd, kSms, kShared)->groups, 4);
}

// See fused_hop.cuh.
TEST(FusedPlan, EachBlockHasATileOfEveryLinear) {
  EXPECT_EQ(PlanFused(kLlama8b, kSms, kShared)->blocks, kSms);
  EXPECT_EQ(PlanFused(kSmall, kSms, kShared)->blocks, 384 / 16);
  EXPECT_EQ(PlanFused(kSmall, kSms, kShared)->splits, 12);
  FusedShape narrow = kLlama8b;
  narrow.heads = narrow.kv_heads = 4;
  EXPECT_EQ(PlanFused(narrow, kSms, kShared)->blocks, 3 * 4 * 128 / 16);
  narrow.ffn = 128;
  EXPECT_EQ(PlanFused(narrow, kSms, kShared)->blocks, 2 * 128 / 16);
}

template <typename Change>
bool Refuses(FusedShape shape, Change change) {
  change(shape);
  return !PlanFused(shape, kSms, kShared);
}

TEST(FusedPlan, RefusesWhatTheKernelCannotDo) {
  const auto refused = [](auto change) { return Refuses(kLlama8b, change); };
  EXPECT_FALSE(refused([](FusedShape&) {}));
  EXPECT_TRUE(refused([](FusedShape& s) { s.hidden = 4160; }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.ffn = 14300; }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.head_size = 96; }));  // which share keys
  EXPECT_TRUE(refused([](FusedShape& s) { s.head_size = 112; }));
  EXPECT_FALSE(refused([](FusedShape& s) {  // Phi-3-mini's
    s.hidden = 3072;
    s.kv_heads = s.heads;
    s.head_size = 96;
  }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.kv_heads = 3; }));
  EXPECT_FALSE(refused([](FusedShape& s) { s.kv_heads = 2; }));  // 8 groups of 4 heads
  EXPECT_TRUE(refused([](FusedShape& s) {                        // 2 of 16
    s.ffn = 128;
    s.kv_heads = 2;
  }));
  EXPECT_TRUE(refused([](FusedShape& s) {  // fewer blocks than kv heads
    s.ffn = 128;
    s.kv_heads = 32;
  }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.num_layers = kMaxFusedLayers + 1; }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.hidden = 12288; }));
  EXPECT_TRUE(refused([](FusedShape& s) {
    s.hidden = 5120;
    s.head_size = 64;
  }));
}

TEST(FusedPlan, RefusesSandwichesThatTheKernelCannotDo) {
  const auto refused = [](auto change) { return Refuses(kGemma9b, change); };
  EXPECT_FALSE(refused([](FusedShape&) {}));
  EXPECT_FALSE(refused([](FusedShape& s) { s.head_size = 128; }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.head_size = 64; }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.hidden = 4224; }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.experts = s.active = 1; }));
  EXPECT_FALSE(refused([](FusedShape& s) { s.kv_heads = 4; }));  // of four heads, two blocks
  EXPECT_TRUE(refused([](FusedShape& s) {
    s.heads = 15;
    s.kv_heads = 5;
  }));
}

TEST(FusedPlan, RefusesExpertsThatTheKernelCannotRoute) {
  const auto refused = [](auto change) { return Refuses(kMoe30b, change); };
  EXPECT_FALSE(refused([](FusedShape&) {}));
  EXPECT_FALSE(refused([](FusedShape& s) { s.experts = kMaxFusedExperts; }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.experts = kMaxFusedExperts + 1; }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.experts = 7; }));  // fewer than are active
  EXPECT_TRUE(refused([](FusedShape& s) { s.ffn = 8 * 768 - 128; }));
  EXPECT_TRUE(refused([](FusedShape& s) { s.hidden = 5120; }));
}

// Digits leave no room for a ring that is faster than calls one by one.
TEST(FusedPlan, RefusesAShortRing) {
  FusedShape shape = kLlama8b;
  shape.hidden = 8192;
  shape.heads = 64;
  shape.ffn = 28672;  // Llama-2-70B's
  EXPECT_EQ(PlanFused(shape, kSms, kShared)->shared.slots, 7);
  shape.ffn = 40960;
  EXPECT_FALSE(PlanFused(shape, kSms, kShared));
}

}  // namespace
}  // namespace awq::cuda
