#include "awq/backend/cuda/staged_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

namespace awq::cuda {
namespace {

constexpr std::array kTiles = {kStaged128x128, kStaged128x256, kStaged32x128, kStaged64x128,
                               kStaged64x256};
constexpr int kSmsOfH200 = 132;

// What an H200 takes with its mma (docs/kernels.md), µs, in the order of kTiles.
struct Found {
  int64_t n, k, m;
  std::array<double, 5> us;
};
constexpr Found kFound[] = {
    {6144, 4096, 32, {31.30, 29.54, 16.74, 21.55, 19.53}},
    {6144, 4096, 64, {32.60, 29.88, 26.63, 22.40, 20.24}},
    {6144, 4096, 128, {35.84, 31.88, 39.44, 37.65, 34.74}},
    {6144, 4096, 256, {60.34, 58.51, 76.30, 63.39, 58.39}},
    {6144, 4096, 512, {121.11, 100.89, 119.89, 127.14, 116.79}},
    {6144, 4096, 2048, {374.80, 301.54, 470.64, 396.61, 347.02}},
    {4096, 4096, 32, {19.87, 24.55, 11.07, 13.64, 16.07}},
    {4096, 4096, 64, {20.79, 25.02, 16.61, 14.61, 16.73}},
    {4096, 4096, 128, {22.66, 26.22, 27.36, 22.85, 22.11}},
    {4096, 4096, 256, {36.54, 36.16, 39.72, 38.61, 35.42}},
    {4096, 4096, 512, {61.86, 59.46, 81.92, 66.05, 60.50}},
    {4096, 4096, 2048, {257.49, 206.08, 316.78, 265.40, 233.93}},
    {28672, 4096, 32, {102.96, 87.83, 43.04, 60.24, 56.90}},
    {28672, 4096, 64, {108.79, 91.03, 79.19, 67.04, 59.76}},
    {28672, 4096, 128, {123.30, 99.85, 154.53, 128.48, 117.36}},
    {28672, 4096, 256, {241.51, 195.13, 290.43, 262.14, 233.67}},
    {28672, 4096, 512, {428.13, 398.89, 560.90, 457.31, 410.16}},
    {28672, 4096, 2048, {1746.85, 1424.09, 2150.98, 1806.36, 1645.37}},
    {4096, 14336, 32, {50.26, 50.93, 27.31, 34.03, 32.71}},
    {4096, 14336, 64, {53.21, 52.78, 47.36, 36.52, 34.27}},
    {4096, 14336, 128, {59.22, 56.58, 88.83, 66.48, 56.87}},
    {4096, 14336, 256, {108.81, 95.92, 142.05, 128.87, 105.37}},
    {4096, 14336, 512, {211.06, 180.73, 274.71, 226.81, 200.35}},
    {4096, 14336, 2048, {877.30, 699.03, 1154.70, 928.93, 835.08}},
};

StagedCut Cut(const StagedTile& tile, int64_t m, int64_t n, int64_t k, int arch, int sms) {
  return CutStaged(tile, m, n, (k + 127) / 128, arch, sms);
}

size_t Choose(int64_t m, int64_t n, int64_t k, int arch, int sms) {
  std::array<double, kTiles.size()> cycles;
  for (size_t i = 0; i < kTiles.size(); ++i) {
    cycles[i] = StagedCycles(kTiles[i], Cut(kTiles[i], m, n, k, arch, sms), arch, sms);
  }
  return static_cast<size_t>(std::min_element(cycles.begin(), cycles.end()) - cycles.begin());
}

TEST(StagedPlan, TakesATileThatIsNearlyTheFastest) {
  double sum = 0;
  for (const Found& f : kFound) {
    const double us = f.us[Choose(f.m, f.n, f.k, 90, kSmsOfH200)];
    const double least = *std::min_element(f.us.begin(), f.us.end());
    EXPECT_LE(us, 1.12 * least) << f.m << " rows of " << f.n << " x " << f.k;
    sum += us / least - 1;
  }
  EXPECT_LE(sum / std::size(kFound), 0.03);
}

TEST(StagedPlan, CutsCoverAllWork) {
  for (const StagedTile& tile : kTiles) {
    for (const int arch : {80, 86, 89, 100, 120}) {
      for (const int sms : {1, 13, 40, 108, 128, 170}) {
        for (const int64_t m : {17, 33, 128, 129, 4096, 100000}) {
          for (const int64_t n : {16, 37, 4096, 152000}) {
            for (const int64_t k : {8, 128, 264, 4096, 53248}) {
              const StagedCut cut = Cut(tile, m, n, k, arch, sms);
              const std::string name = std::to_string(m) + " " + std::to_string(n);
              ASSERT_GE(cut.m_tiles * tile.rows, m) << name;
              ASSERT_LT((cut.m_tiles - 1) * tile.rows, m) << name;
              ASSERT_GE(cut.n_tiles * tile.outputs, n) << name;
              ASSERT_LT((cut.n_tiles - 1) * tile.outputs, n) << name;
              ASSERT_GE(cut.parts, 1) << name;
              ASSERT_LE(cut.parts, std::max<int64_t>(1, std::min<int64_t>(8, cut.steps / 2)));
              if (cut.parts == 1) continue;
              ASSERT_LE(cut.Tiles(), kStagedMostCut) << name;
              ASSERT_LE(cut.Items(), int64_t{sms} * tile.per_sm) << name;  // all at once
            }
          }
        }
      }
    }
  }
}

// 32 tiles on 108 SMs: left whole they would use a third of them.
TEST(StagedPlan, CutsInputsWhereTilesAreFew) {
  EXPECT_GE(Cut(kStaged128x128, 128, 4096, 4096, 80, 108).parts, 2);
  EXPECT_EQ(Cut(kStaged128x128, 4096, 4096, 4096, 80, 108).parts, 1);
}

}  // namespace
}  // namespace awq::cuda
