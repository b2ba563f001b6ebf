#include "awq/backend/cuda/attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

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
          .rows = 4,
          .max_kv = max_kv,
          .uneven = uneven,
          .element_bytes = element_bytes};
}
ShortPlan Plan(const ShortShape& shape) { return PlanShort(shape, kSms, kShared); }

TEST(PlanShort, TilesWhereFourOfThemFillTheSms) {
  for (int bytes : {1, 2}) {
    EXPECT_TRUE(Plan(Shape(64, 512, bytes)).tiles);
    EXPECT_EQ(Plan(Shape(64, 512, bytes)).splits, 1);
    for (int64_t sequences : {8, 16, 20, 24, 40, 48, 80, 96}) {
      EXPECT_FALSE(Plan(Shape(sequences, 8192, bytes)).tiles) << sequences;
    }
  }
}

TEST(PlanShort, OfE4M3TilesOfMoreKeysAndSequencesToo) {
  EXPECT_TRUE(Plan(Shape(128, 512, 1)).tiles);
  EXPECT_FALSE(Plan(Shape(128, 512, 2)).tiles);
  EXPECT_TRUE(Plan(Shape(64, 8192, 1)).tiles);
  EXPECT_FALSE(Plan(Shape(64, 8192, 2)).tiles);
  EXPECT_FALSE(Plan(Shape(32, 512, 1)).tiles);
  EXPECT_TRUE(Plan(Shape(32, 1024, 1)).tiles);
  EXPECT_EQ(Plan(Shape(32, 1024, 1)).splits, 2);
  EXPECT_FALSE(Plan(Shape(32, 1024, 2)).tiles);
  EXPECT_EQ(Plan(Shape(32, 1024, 2)).splits, 1);
}

TEST(PlanShort, EvenLengthsShareInsteadOfALastRoundOfFew) {
  EXPECT_EQ(Plan(Shape(64, 2048, 2)).columns, 3 * kSms / 8);
  EXPECT_EQ(Plan(Shape(64, 2047, 2)).columns, 0);
  for (int64_t sequences : {32, 48, 80, 96, 128}) {
    EXPECT_EQ(Plan(Shape(sequences, 8192, 2)).columns, 0) << sequences;
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
  for (int bytes : {1, 2}) {
    for (int64_t sequences : {4, 32}) {
      EXPECT_EQ(Plan(Shape(sequences, 8192, bytes, true)).columns, 3 * kSms / 8);
      EXPECT_FALSE(Plan(Shape(sequences, 8192, bytes, true)).tiles);
    }
    EXPECT_EQ(Plan(Shape(kMostShared + 1, 8192, bytes, true)).columns, 0);
  }
  ShortShape shape = Shape(32, 8192, 2, true);
  shape.d = 256;
  EXPECT_EQ(Plan(shape).columns, 2 * kSms / 8);
  shape.d = 128;
  shape.rows = 12;
  EXPECT_EQ(Plan(shape).columns, 2 * kSms / 8);
  shape.rows = 4;
  shape.kv_heads = 36;
  EXPECT_EQ(Plan(shape).columns, 11);
  shape.kv_heads = 250;  // which would leave a third of the places empty
  EXPECT_EQ(Plan(shape).columns, 0);
  EXPECT_EQ(Plan(Shape(60, 8192, 2, true)).BlocksOfHead(60), 49);
  EXPECT_EQ(Plan(Shape(60, 8192, 2, true)).PartsOfHead(60), 49 + 60);
}

TEST(PlanShort, AWindowLeavesFewKeys) {
  ShortShape shape = Shape(1, 32768);
  EXPECT_EQ(Plan(shape).splits, 32);
  shape.window = 512;
  EXPECT_EQ(Plan(shape).splits, 9);  // a tile each
  shape = Shape(32, 8192, 2, true);
  shape.window = 1900;
  EXPECT_EQ(Plan(shape).columns, 0);
  shape.window = 4096;
  EXPECT_GT(Plan(shape).columns, 0);
  shape = Shape(32, 8192, 1);
  shape.window = 900;
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
                                   .rows = 4,
                                   .max_kv = max_kv,
                                   .uneven = uneven};
            const ShortPlan plan = PlanShort(shape, sms, kShared);
            EXPECT_GE(plan.splits, 1);
            EXPECT_LE(plan.splits, kMostSplits);
            EXPECT_GE(plan.PartsOfHead(sequences), sequences);
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

// Goes through all blocks as the kernel does: every tile is one block's, none has more than its
// length, a sequence's parts are counted rightly and have neighbouring places of their own, and all
// but a block's first and last are whole sequences.
void ExpectAllShared(const std::vector<int>& tiles, int columns) {
  std::vector<int> ends;
  int total = 0;
  for (int n : tiles) ends.push_back(total += n);
  const int length = TilesOfBlock(total, *std::max_element(tiles.begin(), tiles.end()), columns);
  std::set<int> places;
  std::vector<int> parts(tiles.size()), first_places(tiles.size());
  for (int column = 0; column < columns; ++column) {
    const int end = std::min((column + 1) * length, total);
    for (int next = column * length; next < end;) {
      const auto b = static_cast<size_t>(
          std::count_if(ends.begin(), ends.end(), [&](int e) { return e <= next; }));
      ASSERT_LT(b, tiles.size());
      const int first = ends[b] - tiles[b];
      const PartNumber part = NumberOfPart(first, ends[b], length, column);
      const int place = column + static_cast<int>(b);
      EXPECT_TRUE(places.insert(place).second);
      EXPECT_EQ(part.index, parts[b]);
      if (part.index == 0) first_places[b] = place;
      EXPECT_EQ(place, first_places[b] + part.index);
      ++parts[b];
      const int stop = std::min(ends[b], end);
      const bool whole = next == first && stop == ends[b];
      EXPECT_EQ(part.count == 1, whole);
      EXPECT_TRUE(whole || next == column * length || stop == end);
      if (stop == ends[b]) {
        EXPECT_EQ(parts[b], part.count);
      }
      EXPECT_LE(part.count, kMostSplits);
      next = stop;
    }
  }
  EXPECT_GE(columns * length, total);
  for (size_t b = 0; b < tiles.size(); ++b) EXPECT_EQ(parts[b] > 0, tiles[b] > 0);
  if (!places.empty()) {
    EXPECT_LT(*places.rbegin(), columns + static_cast<int>(tiles.size()));
  }
}

TEST(TilesOfBlock, EveryTileIsSharedOut) {
  ExpectAllShared({0}, 49);
  ExpectAllShared({1}, 49);
  ExpectAllShared({0, 0, 3, 0}, 1);
  ExpectAllShared({128, 64, 32, 16, 8, 4}, 49);
  ExpectAllShared({100000, 1, 1}, 396);  // kMostSplits parts
  ExpectAllShared({64, 64}, 396);
  std::mt19937 random(7);
  for (int run = 0; run < 500; ++run) {
    std::vector<int> tiles(1 + random() % 40);
    for (int& n : tiles) n = static_cast<int>(random() % (random() % 8 == 0 ? 3000 : 12));
    ExpectAllShared(tiles, 1 + static_cast<int>(random() % 400));
  }
}

}  // namespace
}  // namespace awq::cuda
