// How staged_linear cuts its work, and what that takes: host code without a GPU.
#pragma once

#include <cstdint>

namespace awq::cuda {

inline constexpr int kStagedParts = 8;           // of a tile's inputs at most
inline constexpr int64_t kStagedMostCut = 1024;  // tiles that are cut into parts at most

// What a thread block makes at a time.
struct StagedTile {
  int rows;  // of x
  int outputs;
  int per_sm;       // thread blocks that share an SM, where its shared memory has room for them
  double overhead;  // cycles of 128 inputs beside the tensor cores' (docs/kernels.md)
};

// Named by rows and outputs.
inline constexpr StagedTile kStaged32x128 = {32, 128, 2, 540};
inline constexpr StagedTile kStaged64x128 = {64, 128, 2, 640};
inline constexpr StagedTile kStaged64x256 = {64, 256, 1, 740};
inline constexpr StagedTile kStaged128x128 = {128, 128, 1, 1020};
inline constexpr StagedTile kStaged128x256 = {128, 256, 1, 830};

struct StagedCut {
  int64_t m_tiles, n_tiles;
  int64_t steps;  // of 128 inputs
  int parts;      // of a tile's inputs, each for a thread block
  int64_t Tiles() const { return m_tiles * n_tiles; }
  int64_t Items() const { return Tiles() * parts; }
};

// What it takes on so many SMs of sm_`arch`, about: to choose among cuts and tiles.
double StagedCycles(const StagedTile& tile, const StagedCut& cut, int arch, int sms);

// The cut that takes least.
StagedCut CutStaged(const StagedTile& tile, int64_t m, int64_t n, int64_t steps, int arch, int sms);

}  // namespace awq::cuda
