#include "awq/backend/cuda/held_plan.h"

#include <gtest/gtest.h>

namespace awq::cuda {
namespace {

const HeldTile kTiles[] = {kHeld8x2x8, kHeld16x1x8, kHeld8x1x16};

// All that a plan promises its kernel, for shapes of all kinds.
TEST(PlanHeld, SharesOutAllBlocksAndFits) {
  int plans = 0;
  for (const HeldTile& tile : kTiles) {
    for (const int64_t n : {1, 16, 333, 1237, 4096, 6144, 28672, 57344}) {
      for (const int64_t k :
           {8, 128, 136, 1152, 3584, 4096, 4104, 8192, 10240, 11008, 14336, 16384, 28672}) {
        for (const int64_t m : {1, 3, 8, 9, 16, 17}) {
          for (const bool zeros : {false, true}) {
            const Q4Shape shape = {.n = n, .k = k, .group = 128, .has_zeros = zeros};
            const auto plan =
                PlanHeld(tile, shape, m, [&](int parts) { return 132 * tile.per_sm / parts - 1; });
            const int64_t parts = HeldPartsOf(tile, shape.BlocksPerRow());
            ASSERT_EQ(plan.has_value(), m <= tile.Rows() && parts <= kHeldParts)
                << n << " " << k << " " << m << " " << tile.warps;
            if (!plan) continue;
            ++plans;
            const int blocks = static_cast<int>(shape.BlocksPerRow());
            EXPECT_EQ(plan->parts * plan->part_blocks + plan->longer_parts, blocks);
            EXPECT_LT(plan->longer_parts, plan->parts);
            EXPECT_LE(plan->parts, kHeldParts);
            EXPECT_GE(plan->part_blocks, 1);
            const int most_blocks = plan->part_blocks + (plan->longer_parts > 0 ? 1 : 0);
            EXPECT_LE(most_blocks, tile.warps * kHeldBlocks);
            EXPECT_EQ(plan->clusters * plan->tiles + plan->longer, shape.RowTiles());
            EXPECT_LT(plan->longer, plan->clusters);
            EXPECT_GE(plan->tiles, 1);
            EXPECT_EQ(plan->slot_stride % 128, 0);
            EXPECT_GE(plan->slot_stride, most_blocks * shape.BlockBytes());
            EXPECT_GE(plan->slots, 2);
            EXPECT_LE(plan->slots, kHeldSlots);
            EXPECT_GE(tile.Sums(), HeldBarriers::kEnd);
            for (const int at : {tile.Sums(), tile.Exchange(), plan->Ring(tile)}) {
              EXPECT_EQ(at % 128, 0);
            }
            EXPECT_GE(plan->early_slots, 1);
            EXPECT_LE(plan->early_slots * plan->slot_stride + m * HeldRowBytes(most_blocks),
                      plan->slots * plan->slot_stride);
            EXPECT_LE(plan->SharedBytes(tile), tile.shared);
            EXPECT_EQ(plan->window > 0, plan->parts > 1);
            const int most_tiles = plan->tiles + (plan->longer > 0 ? 1 : 0);
            const int rounds = (most_tiles + plan->parts - 1) / plan->parts;
            EXPECT_TRUE(plan->parts == 1 || plan->window >= std::min(kHeldWindow, rounds));
            EXPECT_LE(plan->window, 32);  // a lane each
          }
        }
      }
    }
  }
  EXPECT_GT(plans, 600);
}

TEST(PlanHeld, RefusesWhatItCannotServe) {
  const auto many = [](int) { return 132; };
  const auto plan = [&](int64_t k, int group, const std::function<int(int)>& clusters) {
    return PlanHeld(kHeld8x1x16, {.n = 4096, .k = k, .group = group}, 16, clusters).has_value();
  };
  EXPECT_TRUE(plan(4096, 128, many));
  EXPECT_TRUE(plan(4096, 4096, many));
  EXPECT_FALSE(plan(4096, 64, many));  // groups
  EXPECT_FALSE(plan(0, 128, many));
  EXPECT_FALSE(plan(28672, 128, many));                  // parts
  EXPECT_FALSE(plan(4096, 128, [](int) { return 0; }));  // clusters
}

TEST(PlanHeld, WhatItTakes) {
  const auto plan = PlanHeld(kHeld8x1x16, {.n = 28672, .k = 4096, .group = 128, .has_zeros = true},
                             16, [](int parts) { return 132 / parts; });
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->parts, 2);
  EXPECT_EQ(plan->clusters, 66);
  EXPECT_EQ(plan->tiles, 27);
  EXPECT_EQ(plan->longer, 10);
}

}  // namespace
}  // namespace awq::cuda
