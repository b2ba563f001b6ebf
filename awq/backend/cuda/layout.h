// Layout "q4_tile16": the one resident form of a 4-bit weight on an NVIDIA GPU, for every kernel
// and M.
//
// W[N, K] is cut into blocks of 16 outputs x 128 inputs. A block is one contiguous piece of memory:
//
//   offset 0       1024 B codes
//   offset 1024    G times: 16 scales (f16, 32 B), then 16 zeros (u8, 16 B; absent when symmetric)
//                  G = groups in 128 inputs: 4, 2, 1; a group of more than 128 repeats its values
//
// Blocks of one row tile follow each other along K, row tiles along N: a stream of W is a stream of
// DRAM pages, and any span of blocks is one bulk copy (block sizes are multiples of 16 B).
// N is padded to 16 and K to 128; padding has code = zero point, hence exactly 0.
//
// Codes are in the order of the A fragment of mma.m16n8k16 (weights are the A operand, y^T = W
// x^T): block = 2 halves of 64 inputs; half = 32 lanes x 16 B; 16 B = 4 words. Lane l = 4r + q
// holds outputs 2r (fragment row r) and 2r + 1 (fragment row r + 8), so that a lane's two outputs,
// two scales and two zeros are neighbours in memory. Word w of lane l holds inputs 8q + 2w, + 1 in
// its bytes 0 and 2, and those 32 further on in its bytes 1 and 3:
//
//   bits of a word    0-3   4-7   8-11  12-15  16-19  20-23  24-27  28-31
//   output            2r    2r+1  2r    2r+1   2r     2r+1   2r     2r+1
//   input (+8q+2w)    0     0     32    32     1      1      33     33
//
// Two ways to read a half, each without moving a code between lanes:
//   by lanes   lane l loads its 16 B. Bytes of one kind in words 2i, 2i + 1 are a fragment whose x
//              are words 2i, 2i + 1 of the 16 B run of x at input 8q (or 32 + 8q).
//   by ldmatrix of 8 lanes r with the same q = c: lane 4r + q receives word q of lane 4r + c, that
//              is inputs 8c + 2q, + 1. Words of c = 2s, 2s + 1 are the fragment of inputs 16s ...
//              16s + 15 in their own order, as wgmma reads them from rows of x.
// So that the second has no bank conflicts, lane 4r + q lies in place 4r + (q ^ r / 2).
#pragma once

#include <cstdint>
#include <type_traits>

#include "awq/base/host_device.h"

namespace awq::cuda {

inline constexpr int kTileN = 16;
inline constexpr int kBlockK = 128;
inline constexpr int kCodeBytes = kTileN * kBlockK / 2;

struct Q4Shape {
  int64_t n = 0;
  int64_t k = 0;
  int group = 128;         // 32, 64, or a multiple of 128
  bool has_zeros = false;  // else every zero point is 8

  AWQ_HD constexpr int64_t RowTiles() const { return (n + kTileN - 1) / kTileN; }
  AWQ_HD constexpr int64_t BlocksPerRow() const { return (k + kBlockK - 1) / kBlockK; }
  AWQ_HD constexpr int GroupsPerBlock() const { return group >= kBlockK ? 1 : kBlockK / group; }
  AWQ_HD constexpr int MetaBytes() const { return kTileN * 2 + (has_zeros ? kTileN : 0); }
  AWQ_HD constexpr int BlockBytes() const { return kCodeBytes + GroupsPerBlock() * MetaBytes(); }
  AWQ_HD constexpr int64_t NumBytes() const { return RowTiles() * BlocksPerRow() * BlockBytes(); }

  AWQ_HD constexpr int64_t BlockOffset(int64_t row, int64_t column) const {
    return (row / kTileN * BlocksPerRow() + column / kBlockK) * BlockBytes();
  }
  AWQ_HD constexpr int64_t MetaOffset(int64_t row, int64_t column) const {
    const int64_t group_in_block = GroupsPerBlock() == 1 ? 0 : column % kBlockK / group;
    return BlockOffset(row, column) + kCodeBytes + group_in_block * MetaBytes();
  }
  AWQ_HD constexpr int64_t ScaleOffset(int64_t row, int64_t column) const {
    return MetaOffset(row, column) + row % kTileN * 2;
  }
  AWQ_HD constexpr int64_t ZeroOffset(int64_t row, int64_t column) const {
    return MetaOffset(row, column) + kTileN * 2 + row % kTileN;
  }
};

// Which 16 bytes of a half are lane l's, and whose they are: it is its own inverse.
AWQ_HD constexpr int PlaceOfLane(int lane) { return lane ^ (lane / 8); }

// Weights of pairs: where the layout has row `row` of n, of which gates are the first half, ups the
// second.
AWQ_HD constexpr int64_t RowOfPairs(int64_t row, int64_t n) {
  return row < n / 2 ? 2 * row : 2 * (row - n / 2) + 1;
}

// Calls f with the groups in 128 inputs, and whether there are zero points, as constants.
template <typename F>
auto WithScheme(const Q4Shape& shape, F&& f) {
  const auto with_zeros = [&](auto groups) {
    return shape.has_zeros ? f(groups, std::true_type()) : f(groups, std::false_type());
  };
  const int groups = shape.GroupsPerBlock();
  return groups == 4   ? with_zeros(std::integral_constant<int, 4>())
         : groups == 2 ? with_zeros(std::integral_constant<int, 2>())
                       : with_zeros(std::integral_constant<int, 1>());
}

// Where the code of (row, column) of a block lies: a 32-bit word of it and a shift.
struct CodePlace {
  int word;
  int shift;
};
AWQ_HD constexpr CodePlace PlaceOfCode(int row, int column) {
  const int half = column / 64;
  const int place = PlaceOfLane(row / 2 * 4 + column % 32 / 8);
  const int nibble = row % 2 + column % 64 / 32 * 2 + column % 2 * 4;
  return {(half * 32 + place) * 4 + column % 8 / 2, 4 * nibble};
}

}  // namespace awq::cuda
