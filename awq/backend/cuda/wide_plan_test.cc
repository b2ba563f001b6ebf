#include "awq/backend/cuda/wide_plan.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace awq::cuda {
namespace {

constexpr std::pair<const char*, WideTile> kTiles[] = {
    {"16x4", kWide16x4},       {"32x4", kWide32x4},      {"64x4", kWide64x4},
    {"128x4", kWide128x4},     {"64x3", kWide64x3},      {"128x3", kWide128x3},
    {"64x2", kWide64x2},       {"128x2", kWide128x2},    {"256x2", kWide256x2},
    {"256twin", kWide256Twin}, {"128pair", kWide128Pair}};

constexpr int kSmsOfH200 = 132;

// How many clusters of so many thread blocks fit on an H200 at once, by its driver.
int ClustersOfH200(int blocks) {
  constexpr int kCounts[] = {132, 66, 39, 30, 22, 17, 15, 15};
  return kCounts[blocks - 1];
}

WideCut Cut(const WideTile& tile, int64_t m, int64_t n, int64_t k) {
  return CutWide(tile, m, n, k / 128, kSmsOfH200, ClustersOfH200);
}

// What has been measured (docs/kernels.md): the fastest first, µs. Tiles more than 12 % slower
// are left out. Those of two thread blocks are by their ratios to others in a later run.
struct Found {
  int64_t n, k, m;
  std::vector<std::pair<const char*, double>> fastest;
};

TEST(WidePlan, TakesTheFastest) {
  const std::vector<Found> measured = {
      {2048, 2048, 64, {{"64x2", 5.62}}},
      {2048, 2048, 128, {{"64x2", 7.13}, {"64x3", 7.29}, {"128x2", 7.42}}},
      {2048, 2048, 256, {{"64x2", 8.86}, {"64x3", 9.03}}},
      {2048, 2048, 512, {{"64x2", 11.51}, {"128x2", 12.5}}},
      {2048, 2048, 1024, {{"128x2", 17.03}}},
      {2048, 2048, 2048, {{"256x2", 27.41}, {"256twin", 27.8}, {"128x4", 28.75}}},
      {4096, 4096, 64, {{"64x2", 9.2}, {"64x3", 9.82}}},
      {4096, 4096, 128, {{"64x2", 11.9}, {"128x2", 12.11}}},
      {4096, 4096, 256, {{"128x2", 15.31}}},
      {4096, 4096, 512, {{"128x2", 24}, {"256x2", 25.66}, {"128x4", 26.38}}},
      {4096, 4096, 1024, {{"256x2", 42.08}, {"256twin", 42.38}, {"128x4", 43.22}}},
      {4096, 4096, 2048, {{"256twin", 88.58}, {"256x2", 89.82}, {"128x4", 96.37}}},
      {11264, 2048, 16, {{"16x4", 8.14}}},
      {11264, 2048, 32, {{"32x4", 8.81}}},
      {11264, 2048, 64, {{"64x3", 9.67}, {"64x2", 10.03}, {"64x4", 10.77}}},
      {11264, 2048, 128, {{"128x2", 12.79}, {"128x3", 13.47}, {"64x3", 13.53}}},
      {11264, 2048, 256, {{"128x3", 18.91}}},
      {11264, 2048, 512, {{"128x3", 35.25}}},
      {11264,
       2048,
       1024,
       {{"128x4", 76.76}, {"128x3", 79.43}, {"256x2", 81.72}, {"256twin", 83.48}}},
      {11264,
       2048,
       2048,
       {{"256twin", 139.66},
        {"256x2", 143.2},
        {"128x4", 152.33},
        {"128x3", 152.36},
        {"128x2", 156.34}}},
      {6144, 4096, 16, {{"16x4", 9.3}}},
      {6144, 4096, 32, {{"32x4", 10.08}}},
      {6144, 4096, 64, {{"64x2", 11.28}, {"64x3", 11.64}, {"64x4", 12.36}}},
      {6144, 4096, 128, {{"128x2", 14.6}, {"64x3", 15.35}}},
      {6144, 4096, 256, {{"128x3", 21.05}, {"128x2", 22.33}}},
      {6144, 4096, 512, {{"128x3", 35.96}}},
      {6144, 4096, 1024, {{"128x3", 67.7}, {"128x2", 73.96}}},
      {6144, 4096, 2048, {{"256twin", 127.9}, {"256x2", 130.22}, {"128x4", 132.99}}},
      {4096, 14336, 16, {{"16x4", 17.41}}},
      {4096, 14336, 32, {{"32x4", 18.41}}},
      {4096, 14336, 64, {{"64x3", 21.22}, {"64x2", 21.75}, {"64x4", 23.22}}},
      {4096, 14336, 128, {{"128x2", 28.87}, {"128x3", 30.08}, {"64x2", 30.88}}},
      {4096, 14336, 256, {{"128x2", 42.39}}},
      {4096, 14336, 512, {{"128x4", 79.72}, {"256x2", 80.08}, {"128x2", 87.37}}},
      {4096, 14336, 1024, {{"256x2", 160.72}, {"128x4", 163.37}, {"256twin", 164.7}}},
      {4096,
       14336,
       2048,
       {{"256twin", 327.8}, {"256x2", 332.87}, {"128x4", 339.21}, {"128x3", 368.49}}},
      {8192, 8192, 16, {{"16x4", 17.67}}},
      {8192, 8192, 64, {{"64x2", 19.66}}},
      {8192, 8192, 128, {{"128x2", 26.23}}},
      {8192, 8192, 256, {{"256x2", 45.35}, {"128x4", 46.81}, {"128x2", 47.23}}},
      {8192, 8192, 512, {{"256x2", 82.04}, {"256twin", 82.1}, {"128x4", 84.8}}},
      {8192, 8192, 1024, {{"256twin", 169.7}, {"128x4", 174.32}, {"256x2", 174.89}}},
      {8192, 8192, 2048, {{"256twin", 359}, {"256x2", 371.01}, {"128x4", 379.41}}},
      {5120, 13824, 16, {{"16x4", 18.67}}},
      {5120, 13824, 32, {{"32x4", 20.07}}},
      {5120, 13824, 64, {{"64x3", 23.22}, {"64x4", 24.7}}},
      {5120, 13824, 128, {{"128x3", 32.47}, {"128x4", 36.21}}},
      {5120, 13824, 256, {{"128x3", 59.11}}},
      {5120, 13824, 512, {{"128x3", 120.44}}},
      {5120, 13824, 1024, {{"128x3", 248.64}, {"128x2", 272.25}}},
      {5120,
       13824,
       2048,
       {{"256twin", 441.5},
        {"128x2", 453.21},
        {"256x2", 458.8},
        {"128x4", 472.01},
        {"128x3", 482.15}}},
      {28672, 4096, 16, {{"16x4", 22.95}}},
      {28672, 4096, 32, {{"32x4", 24.64}}},
      {28672, 4096, 64, {{"64x4", 29.26}}},
      {28672, 4096, 128, {{"128pair", 40.6}, {"128x4", 43.04}, {"128x2", 45.17}}},
      {28672,
       4096,
       256,
       {{"128pair", 81.95},
        {"128x4", 84.11},
        {"256twin", 84.7},
        {"256x2", 84.91},
        {"128x2", 89.92}}},
      {28672,
       4096,
       512,
       {{"128pair", 150.7},
        {"256twin", 156.4},
        {"128x2", 161.53},
        {"256x2", 163.77},
        {"128x3", 165.46},
        {"128x4", 168.4}}},
      {28672,
       4096,
       1024,
       {{"256twin", 301.3}, {"256x2", 302}, {"128pair", 307.7}, {"128x4", 334.81}}},
      {28672,
       4096,
       2048,
       {{"256twin", 655.3},
        {"128x4", 671.52},
        {"256x2", 675.23},
        {"128pair", 685.3},
        {"128x3", 720.27},
        {"128x2", 724.97}}}};
  double together = 0.0;
  for (const Found& found : measured) {
    const char* chosen = nullptr;
    double least = 0.0;
    std::string all;
    for (const auto& [name, tile] : kTiles) {
      const double us = WideMicroseconds(tile, Cut(tile, found.m, found.n, found.k), kSmsOfH200);
      if (chosen == nullptr || us < least) chosen = name, least = us;
      all += std::string(" ") + name + " " + std::to_string(us);
    }
    double us = 1e9;
    for (const auto& [name, time] : found.fastest) {
      if (std::strcmp(name, chosen) == 0) us = time;
    }
    EXPECT_LE(us, 1.1 * found.fastest[0].second)
        << found.n << "x" << found.k << " M=" << found.m << ": " << chosen << " is taken for "
        << found.fastest[0].first << ";" << all;
    together += us / found.fastest[0].second;
    EXPECT_LT(least, 1.3 * found.fastest[0].second)
        << found.n << "x" << found.k << " M=" << found.m;
    EXPECT_GT(least, 0.75 * found.fastest[0].second)
        << found.n << "x" << found.k << " M=" << found.m;
  }
  EXPECT_LT(together, 1.015 * static_cast<double>(measured.size()));
}

TEST(WidePlan, PartsThatFit) {
  EXPECT_EQ(Cut(kWide64x4, 64, 4096, 14336).parts, 6);  // 16 tiles: of seven fit 15
  EXPECT_EQ(Cut(kWide128x2, 256, 4096, 4096).parts, 2);
  EXPECT_EQ(Cut(kWide256x2, 4096, 4096, 4096).parts, 1);
  EXPECT_EQ(Cut(kWide16x4, 16, 64, 128).parts, 1);
}

// Six parts would have three steps instead of four, and more to exchange.
TEST(WidePlan, NoMorePartsThanHelp) { EXPECT_EQ(Cut(kWide64x2, 64, 2048, 2048).parts, 4); }

}  // namespace
}  // namespace awq::cuda
