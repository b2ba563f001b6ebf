// How wide_linear cuts its work, and what that takes: host code without a GPU.
#pragma once

#include <cstdint>
#include <functional>

namespace awq::cuda {

inline constexpr int kWideParts = 8;  // of a tile at most: thread blocks of a cluster

// What a thread block shares with another one, a cluster with it (wide_pair.cuh): the rows of x of
// neighbouring tiles, or a tile too, whose outputs the last warpgroups of both make together.
enum class WideShare { kNothing, kX, kTile };

// A tile of a thread block, of which each SM has one at a time: rows of x, and 64 outputs a
// warpgroup.
struct WideTile {
  int rows;
  int warpgroups;
  double step_us;  // what 128 inputs take (H200; docs/kernels.md)
  WideShare share = WideShare::kNothing;
  // Of thread blocks that share, together.
  constexpr int Blocks() const { return share == WideShare::kNothing ? 1 : 2; }
  constexpr int Outputs() const {
    return 64 * (Blocks() * warpgroups - (share == WideShare::kTile ? 1 : 0));
  }
};

// Named by rows and warpgroups.
inline constexpr WideTile kWide16x4 = {16, 4, 0.60};
inline constexpr WideTile kWide32x4 = {32, 4, 0.64};
inline constexpr WideTile kWide64x4 = {64, 4, 0.78};
inline constexpr WideTile kWide128x4 = {128, 4, 1.18};
inline constexpr WideTile kWide64x3 = {64, 3, 0.65};
inline constexpr WideTile kWide128x3 = {128, 3, 0.92};
inline constexpr WideTile kWide64x2 = {64, 2, 0.47};
inline constexpr WideTile kWide128x2 = {128, 2, 0.65};
inline constexpr WideTile kWide256x2 = {256, 2, 1.22};
inline constexpr WideTile kWide256Twin = {256, 2, 1.20, WideShare::kX};
inline constexpr WideTile kWide128Pair = {128, 4, 1.10, WideShare::kTile};

struct WideCut {
  int64_t m_tiles, n_tiles;
  int64_t steps;  // of 128 inputs
  int parts;      // of a tile's inputs: a cluster of as many thread blocks
};

// What it takes on so many SMs, about: to choose among cuts and tiles.
double WideMicroseconds(const WideTile& tile, const WideCut& cut, int sms);

// The cut that takes least. `clusters`: how many clusters of so many thread blocks fit on the
// device at once. Each lies in one of the groups of up to 18 SMs that the chip is made of, which
// are not all of one size.
WideCut CutWide(const WideTile& tile, int64_t m, int64_t n, int64_t steps, int sms,
                const std::function<int(int)>& clusters);

}  // namespace awq::cuda
