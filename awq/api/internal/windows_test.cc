// Windows: both protocols by small examples.
#include "awq/api/internal/windows.h"

#include <gtest/gtest.h>

#include <numeric>

namespace awq {
namespace {

using Ids = std::vector<int32_t>;

Ids Count(int32_t n) {
  Ids out(static_cast<size_t>(n));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

TEST(Windows, BosWindowsScoreEveryToken) {
  const auto w = CutWindows(Count(8), 4, 99, 0);
  ASSERT_EQ(w.size(), 3u);
  EXPECT_EQ(w[0].inputs, (Ids{99, 0, 1, 2}));
  EXPECT_EQ(w[0].targets, (Ids{0, 1, 2}));
  EXPECT_EQ(w[1].inputs, (Ids{99, 3, 4, 5}));
  EXPECT_EQ(w[2].inputs, (Ids{99, 6, 7}));
  EXPECT_EQ(w[2].targets, (Ids{6, 7}));
}

TEST(Windows, PlainWindowsDropTheRestAndTheFirstToken) {
  const auto w = CutWindows(Count(11), 4, std::nullopt, 0);
  ASSERT_EQ(w.size(), 2u);
  EXPECT_EQ(w[1].inputs, (Ids{4, 5, 6, 7}));
  EXPECT_EQ(w[1].targets, (Ids{5, 6, 7}));
  EXPECT_TRUE(CutWindows(Count(3), 4, std::nullopt, 0).empty());
}

TEST(Windows, Limits) {
  EXPECT_EQ(CutWindows(Count(100), 4, 99, 2).size(), 2u);
  EXPECT_EQ(CutWindows(Count(100), 4, std::nullopt, 3).size(), 3u);
  EXPECT_TRUE(CutWindows({}, 4, 99, 0).empty());
  EXPECT_EQ(CutWindows(Count(6), 4, 99, 0).size(), 2u);  // no empty window at the end
}

// The token counts of the shared models' README.
TEST(Windows, CountsOfWikitext) {
  const Ids tokens(313649, 5);
  int64_t bos = 0;
  for (const Window& w : CutWindows(tokens, 1024, 1, 0))
    bos += static_cast<int64_t>(w.targets.size());
  EXPECT_EQ(bos, 313649);
  int64_t plain = 0;
  for (const Window& w : CutWindows(tokens, 1024, std::nullopt, 0)) {
    plain += static_cast<int64_t>(w.targets.size());
  }
  EXPECT_EQ(plain, 313038);
}

}  // namespace
}  // namespace awq
