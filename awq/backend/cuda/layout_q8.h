// Layout "q8_tile16": the resident form of an 8-bit weight with groups of 64 inputs, of a multiple
// of 128, or of the row.
//
// W[N, K] is cut into blocks of 16 outputs x 128 inputs, in the order of layout.h. A block:
//
//   offset 0       2048 B codes: 2 halves of 64 inputs; a half has the 16 bytes of each lane twice:
//                  of lane l = 4r + q inputs 16q … 16q + 15 of output 2r, then of output 2r + 1,
//                  in place PlaceOfLane(l), as in layout.h
//   offset 2048    G times: 16 scales (f32), then 16 zeros (u8)
//                  G = groups in 128 inputs, 2 or 1; a group of more than 128 repeats its values
//
// Word w of a lane's 16 bytes has inputs 2w, 2w + 1, 2w + 8, 2w + 9 of its 16: what lane 4r + w
// receives by ldmatrix, of 8 lanes r with the same q, is its part of the A fragment of inputs 16q …
// 16q + 15 in their own order.
//
// N is padded to 16 and K to 128 with codes equal to their zero point, that is exactly 0.
#pragma once

#include "awq/backend/cuda/layout.h"

namespace awq::cuda {

struct Q8Shape {
  static constexpr int kCodes = kTileN * kBlockK;
  static constexpr int kMeta = kTileN * 5;  // of a group

  int64_t n = 0;
  int64_t k = 0;
  int64_t group = 128;  // 64, or a multiple of 128

  AWQ_HD constexpr int64_t RowTiles() const { return (n + kTileN - 1) / kTileN; }
  AWQ_HD constexpr int64_t BlocksPerRow() const { return (k + kBlockK - 1) / kBlockK; }
  AWQ_HD constexpr int GroupsPerBlock() const { return group >= kBlockK ? 1 : 2; }
  AWQ_HD constexpr int BlockBytes() const { return kCodes + GroupsPerBlock() * kMeta; }
  AWQ_HD constexpr int64_t NumBytes() const { return RowTiles() * BlocksPerRow() * BlockBytes(); }

  AWQ_HD constexpr int64_t BlockOffset(int64_t row, int64_t column) const {
    return (row / kTileN * BlocksPerRow() + column / kBlockK) * BlockBytes();
  }
  AWQ_HD constexpr int64_t CodeOffset(int64_t row, int64_t column) const {
    const auto lane = static_cast<int>(row % kTileN / 2 * 4 + column % 64 / 16);
    return BlockOffset(row, column) + column % kBlockK / 64 * 1024 + row % 2 * 512 +
           PlaceOfLane(lane) * 16 + column % 8 / 2 * 4 + column % 16 / 8 * 2 + column % 2;
  }
  // Of the group of (row, column).
  AWQ_HD constexpr int64_t MetaOffset(int64_t row, int64_t column) const {
    return BlockOffset(row, column) + kCodes +
           (GroupsPerBlock() == 1 ? 0 : column % kBlockK / group * kMeta);
  }
  AWQ_HD constexpr int64_t ScaleOffset(int64_t row, int64_t column) const {
    return MetaOffset(row, column) + row % kTileN * 4;
  }
  AWQ_HD constexpr int64_t ZeroOffset(int64_t row, int64_t column) const {
    return MetaOffset(row, column) + kTileN * 4 + row % kTileN;
  }
};

#ifdef __CUDACC__
// w[row, column] of blocks in this layout.
__device__ inline float ValueOfQ8(const Q8Shape& shape, const uint8_t* blocks, int64_t row,
                                  int64_t column) {
  const int code = blocks[shape.CodeOffset(row, column)] - blocks[shape.ZeroOffset(row, column)];
  return static_cast<float>(code) *
         *reinterpret_cast<const float*>(blocks + shape.ScaleOffset(row, column));
}
#endif

}  // namespace awq::cuda
