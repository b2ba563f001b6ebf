#include "awq/backend/cuda/wide_plan.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace awq::cuda {
namespace {

constexpr std::pair<const char*, WideTile> kTiles[] = {
    {"16x4x1x4", kWide16x4x1x4},   {"32x4x1x4", kWide32x4x1x4},   {"64x4x1x4", kWide64x4x1x4},
    {"128x3x1x4", kWide128x3x1x4}, {"128x4x1x4", kWide128x4x1x4}, {"256x2x1x4", kWide256x2x1x4},
    {"16x2x2x4", kWide16x2x2x4},   {"32x2x2x4", kWide32x2x2x4},   {"64x2x2x4", kWide64x2x2x4}};

// Groups of SMs of an H200, such that as many clusters fit as its driver says.
int ClustersOfH200(int blocks_an_sm, int blocks) {
  int count = 0;
  for (const int sms : {18, 18, 18, 16, 16, 16, 16, 14}) count += sms * blocks_an_sm / blocks;
  return count;
}

WideCut Cut(const WideTile& tile, int64_t m, int64_t n, int64_t k) {
  return CutWide(tile, m, n, k / 128,
                 [&](int blocks) { return ClustersOfH200(tile.blocks, blocks); });
}

// What has been measured (docs/kernels.md): the fastest first, µs. Rows more than 5 % slower are
// left out.
struct Found {
  int64_t n, k, m;
  std::vector<std::pair<const char*, double>> fastest;
};

TEST(WidePlan, TakesTheFastest) {
  const std::vector<Found> measured = {
      {4096, 4096, 32, {{"32x4x1x4", 9.04}}},
      {4096, 4096, 64, {{"64x2x2x4", 11.15}, {"32x2x2x4", 11.32}}},
      {4096, 4096, 128, {{"64x2x2x4", 14.09}, {"64x4x1x4", 14.58}}},
      {4096, 4096, 256, {{"64x4x1x4", 19.87}, {"64x2x2x4", 20.17}}},
      {4096, 4096, 512, {{"128x4x1x4", 31.27}, {"256x2x1x4", 31.53}, {"64x4x1x4", 31.89}}},
      {4096, 4096, 1024, {{"256x2x1x4", 49.05}, {"128x4x1x4", 50.15}}},
      {4096, 4096, 4096, {{"256x2x1x4", 220.2}, {"128x4x1x4", 222.1}}},
      {6144, 4096, 32, {{"32x2x2x4", 9.26}}},
      {6144, 4096, 64, {{"64x2x2x4", 11.54}}},
      {6144, 4096, 128, {{"128x3x1x4", 17.31}, {"64x2x2x4", 18.14}}},
      {6144, 4096, 256, {{"128x3x1x4", 23.13}}},
      {6144, 4096, 512, {{"128x3x1x4", 35.32}}},
      {6144, 4096, 1024, {{"128x3x1x4", 78.36}}},
      {6144, 4096, 4096, {{"256x2x1x4", 320.9}, {"128x4x1x4", 334.7}}},
      {28672, 4096, 16, {{"16x2x2x4", 23.42}, {"16x4x1x4", 24.25}}},
      {28672, 4096, 32, {{"32x2x2x4", 24.82}, {"32x4x1x4", 25.61}}},
      {28672, 4096, 64, {{"64x4x1x4", 30.88}, {"64x2x2x4", 31.51}}},
      {28672, 4096, 128, {{"128x4x1x4", 46.15}}},
      {28672, 4096, 256, {{"256x2x1x4", 85.73}}},
      {28672, 4096, 512, {{"256x2x1x4", 187.9}, {"128x4x1x4", 196.8}}},
      {28672, 4096, 1024, {{"256x2x1x4", 350.7}}},
      {28672, 4096, 4096, {{"256x2x1x4", 1450}}},
      {4096, 14336, 32, {{"32x4x1x4", 18.65}, {"32x2x2x4", 18.74}}},
      {4096, 14336, 64, {{"64x4x1x4", 23.71}}},
      {4096, 14336, 128, {{"128x3x1x4", 30.14}}},
      {4096, 14336, 256, {{"64x4x1x4", 57.49}, {"64x2x2x4", 57.89}, {"256x2x1x4", 58.60}}},
      {4096, 14336, 512, {{"256x2x1x4", 82.47}}},
      {4096, 14336, 1024, {{"256x2x1x4", 168.1}}},
      {4096, 14336, 4096, {{"256x2x1x4", 721.5}}}};
  for (const Found& found : measured) {
    const char* chosen = nullptr;
    double least = 0.0;
    std::string all;
    for (const auto& [name, tile] : kTiles) {
      const double us = WideMicroseconds(tile, Cut(tile, found.m, found.n, found.k), 132);
      if (chosen == nullptr || us < least) chosen = name, least = us;
      all += std::string(" ") + name + " " + std::to_string(us);
    }
    double us = 1e9;
    for (const auto& [name, time] : found.fastest) {
      if (std::strcmp(name, chosen) == 0) us = time;
    }
    EXPECT_LE(us, 1.02 * found.fastest[0].second)
        << found.n << "x" << found.k << " M=" << found.m << ": " << chosen << " is taken for "
        << found.fastest[0].first << ";" << all;
    EXPECT_LT(least, 1.25 * found.fastest[0].second)
        << found.n << "x" << found.k << " M=" << found.m;
    EXPECT_GT(least, 0.85 * found.fastest[0].second)
        << found.n << "x" << found.k << " M=" << found.m;
  }
}

TEST(WidePlan, PartsThatFit) {
  EXPECT_EQ(Cut(kWide64x4x1x4, 64, 4096, 4096).parts, 7);   // 16 tiles: of eight fit 15
  EXPECT_EQ(Cut(kWide64x2x2x4, 64, 4096, 4096).parts, 4);   // 8 steps each
  EXPECT_EQ(Cut(kWide64x2x2x4, 64, 4096, 14336).parts, 7);  // 32 tiles: of eight fit 31
  EXPECT_EQ(Cut(kWide256x2x1x4, 4096, 4096, 4096).parts, 1);
  EXPECT_EQ(Cut(kWide16x4x1x4, 16, 64, 128).parts, 1);
}

}  // namespace
}  // namespace awq::cuda
