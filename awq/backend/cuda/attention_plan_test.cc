#include "awq/backend/cuda/attention_plan.h"

#include <gtest/gtest.h>

namespace awq::cuda {
namespace {

constexpr int kSms = 132;  // of an H200
constexpr int kShared = 227 << 10;

// Of Llama-3-8B.
ShortShape Shape(int64_t sequences, int64_t max_kv, int element_bytes = 2, bool uneven = false) {
  return {.sequences = sequences,
          .heads = 32,
          .kv_heads = 8,
          .d = 128,
          .max_kv = max_kv,
          .uneven = uneven,
          .element_bytes = element_bytes};
}
ShortPlan Plan(const ShortShape& shape) { return PlanShort(shape, kSms, kShared); }

TEST(PlanShort, TilesWhereFourOfThemFillTheSms) {
  EXPECT_TRUE(Plan(Shape(64, 512)).tiles);
  EXPECT_EQ(Plan(Shape(64, 512)).splits, 1);
  EXPECT_TRUE(Plan(Shape(128, 512)).tiles);
  for (int64_t sequences : {8, 16, 20, 24, 40, 48, 80, 96}) {
    EXPECT_FALSE(Plan(Shape(sequences, 8192)).tiles) << sequences;
  }
}

TEST(PlanShort, TwoPartsAreWorthItOfManyKeys) {
  for (int bytes : {1, 2}) {
    EXPECT_FALSE(Plan(Shape(32, 2048, bytes)).tiles);
    EXPECT_TRUE(Plan(Shape(32, 4096, bytes)).tiles);
    EXPECT_EQ(Plan(Shape(32, 4096, bytes)).splits, 2);
  }
}

TEST(PlanShort, NoTilesWhereTheyWouldWasteRowsOrNotFit) {
  ShortShape shape = Shape(64, 512);
  shape.kv_heads = 32;
  EXPECT_FALSE(Plan(shape).tiles);  // a head a kv head
  shape = Shape(64, 512);
  shape.d = 256;
  EXPECT_FALSE(Plan(shape).tiles);
  EXPECT_FALSE(PlanShort(Shape(64, 512), kSms, 163 << 10).tiles);  // an A100's
  EXPECT_TRUE(PlanShort(Shape(64, 512, 1), kSms, 163 << 10).tiles);
}

TEST(PlanShort, UnevenLengthsShareWhatFits) {
  EXPECT_EQ(Plan(Shape(32, 8192, 2, true)).columns, 3 * kSms / 8);
  EXPECT_FALSE(Plan(Shape(32, 8192, 2, true)).tiles);
  EXPECT_EQ(Plan(Shape(32, 8192, 1, true)).columns, 4 * kSms / 8);
  EXPECT_TRUE(Plan(Shape(32, 8192, 1, true)).tiles);
  EXPECT_EQ(Plan(Shape(4, 8192, 1, true)).columns, 2 * kSms / 8);
  EXPECT_EQ(Plan(Shape(kMostShared + 1, 8192, 1, true)).columns, 0);
  EXPECT_EQ(Plan(Shape(32, 8192, 2, true)).BlocksOfHead(32), 49);
  EXPECT_EQ(Plan(Shape(60, 8192, 2, true)).BlocksOfHead(60), 49 + 60);
}

TEST(PlanShort, AWindowLeavesFewKeys) {
  ShortShape shape = Shape(1, 32768);
  EXPECT_EQ(Plan(shape).splits, 32);
  shape.window = 512;
  EXPECT_EQ(Plan(shape).splits, 9);  // a tile each
  shape = Shape(32, 8192, 2, true);
  shape.window = 900;
  EXPECT_EQ(Plan(shape).columns, 0);
  shape.window = 4096;
  EXPECT_GT(Plan(shape).columns, 0);
  shape = Shape(32, 8192);
  shape.window = 1024;
  EXPECT_FALSE(Plan(shape).tiles);
  shape.window = 100000;
  EXPECT_TRUE(Plan(shape).tiles);
}

// Whatever is asked: blocks for every sequence, no part without keys, no more at once than fit.
TEST(PlanShort, OfAnyShape) {
  for (int sms : {1, 16, 108, 132}) {
    for (int64_t sequences : {0, 1, 3, 33, 600}) {
      for (int64_t kv_heads : {1, 8, 40, 200}) {
        for (int64_t max_kv : {1, 64, 1000, 100000}) {
          for (bool uneven : {false, true}) {
            const ShortShape shape{.sequences = sequences,
                                   .heads = 4 * kv_heads,
                                   .kv_heads = kv_heads,
                                   .d = 128,
                                   .max_kv = max_kv,
                                   .uneven = uneven};
            const ShortPlan plan = PlanShort(shape, sms, kShared);
            EXPECT_GE(plan.splits, 1);
            EXPECT_LE(plan.splits, kMostSplits);
            EXPECT_GE(plan.BlocksOfHead(sequences), sequences);
            const int64_t tiles = (max_kv + kTileKeys - 1) / kTileKeys;
            const int64_t each = (tiles + plan.splits - 1) / plan.splits;
            EXPECT_LT(each * (plan.splits - 1), tiles);
            if (plan.columns == 0 && plan.splits > 1) {
              EXPECT_LE(sequences * kv_heads * plan.splits, 4 * sms);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace awq::cuda
