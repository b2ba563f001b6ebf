// How wide_linear cuts its work, and what that takes: host code without a GPU.
#pragma once

#include <cstdint>
#include <functional>

namespace awq::cuda {

inline constexpr int kWideParts = 8;  // of a tile at most: thread blocks of a cluster

// A tile of a thread block: rows of x, and 64 outputs a warpgroup.
struct WideTile {
  int rows;
  int warpgroups;
  int blocks;      // thread blocks an SM
  double step_us;  // what 128 inputs take (H200; docs/kernels.md)
};

// Named by rows, warpgroups, thread blocks an SM, warps that copy.
inline constexpr WideTile kWide16x4x1x4 = {16, 4, 1, 0.60};
inline constexpr WideTile kWide32x4x1x4 = {32, 4, 1, 0.64};
inline constexpr WideTile kWide64x4x1x4 = {64, 4, 1, 0.81};
inline constexpr WideTile kWide128x4x1x4 = {128, 4, 1, 1.36};
inline constexpr WideTile kWide128x3x1x4 = {128, 3, 1, 0.96};
inline constexpr WideTile kWide256x2x1x4 = {256, 2, 1, 1.35};
inline constexpr WideTile kWide16x2x2x4 = {16, 2, 2, 0.58};
inline constexpr WideTile kWide32x2x2x4 = {32, 2, 2, 0.62};
inline constexpr WideTile kWide64x2x2x4 = {64, 2, 2, 0.84};

struct WideCut {
  int64_t m_tiles, n_tiles;
  int64_t steps;  // of 128 inputs
  int parts;      // of a tile's inputs: a cluster of as many thread blocks
};

// `clusters`: how many clusters of so many thread blocks fit on the device at once. Each lies in
// one of the groups of up to 18 SMs that the chip is made of, which are not all of one size.
WideCut CutWide(const WideTile& tile, int64_t m, int64_t n, int64_t steps,
                const std::function<int(int)>& clusters);

// What it takes, about: to choose among tiles.
double WideMicroseconds(const WideTile& tile, const WideCut& cut, int sms);

}  // namespace awq::cuda
