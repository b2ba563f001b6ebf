#include "awq/ops/args.h"

#include <gtest/gtest.h>

#include <vector>

namespace awq {
namespace {

bool Uneven(const std::vector<int32_t>& lengths) { return HasUnevenLengths(lengths); }

TEST(HasUnevenLengths, WhereOneIsMuchLongerThanMost) {
  EXPECT_TRUE(Uneven({1500, 20, 30, 40}));
  EXPECT_TRUE(Uneven({100, 8192}));
  EXPECT_FALSE(Uneven({1500, 1400, 1300, 1350}));
  EXPECT_FALSE(Uneven({2000, 1600}));  // exactly .9
  EXPECT_TRUE(Uneven({2000, 1599}));
}

TEST(HasUnevenLengths, NotWhereThereIsLittleToShareOut) {
  EXPECT_FALSE(Uneven({}));
  EXPECT_FALSE(Uneven({100000}));
  EXPECT_FALSE(Uneven({1024, 1, 1, 1}));
  EXPECT_TRUE(Uneven({1025, 1, 1, 1}));
}

TEST(HasUnevenLengths, OfManyAndLong) {
  std::vector<int32_t> lengths(100000, 1);
  lengths.back() = 2000000000;
  EXPECT_TRUE(Uneven(lengths));
}

}  // namespace
}  // namespace awq
