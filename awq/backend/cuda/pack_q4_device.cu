#include "awq/backend/cuda/pack_q4_device.h"

#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = kCodeBytes / 4;  // one a word of a block's codes

__device__ int64_t SourceRow(const Q4Shape& shape, const CanonicalQ4& from, int64_t row) {
  return from.gated ? row % 2 * (shape.n / 2) + row / 2 : row;
}

__device__ uint16_t Times(uint16_t scale, float by) {
  return __half_as_ushort(__float2half(__half2float(__ushort_as_half(scale)) * by));
}

// One thread block a block of the layout.
__global__ void __launch_bounds__(kThreads)
    PackKernel(Q4Shape shape, CanonicalQ4 from, uint8_t* to) {
  WaitForPreviousKernel();  // the next one may read weights before it waits: it comes afterwards
  const int64_t first_row = int64_t{blockIdx.x} * kTileN;
  const int64_t first_column = int64_t{blockIdx.y} * kBlockK;
  uint8_t* block = to + shape.BlockOffset(first_row, first_column);
  const int word = static_cast<int>(threadIdx.x);
  const int lane = PlaceOfLane(word / 4 % 32);
  const int64_t start = first_column + word / 128 * 64 + lane % 4 * 8 + word % 4 * 2;
  const int64_t span = min(shape.group, kBlockK);
  uint32_t out = 0;
  for (int nibble = 0; nibble < 8; ++nibble) {  // the inverse of PlaceOfCode
    const int64_t row = first_row + lane / 4 * 2 + (nibble & 1);
    const int64_t column = start + nibble / 2 % 2 * 32 + nibble / 4;
    const int64_t g = column / shape.group;
    uint32_t code = shape.has_zeros ? 0 : 8;
    if (row < shape.n && column < shape.k) {
      const int64_t at = SourceRow(shape, from, row) * shape.k + column;
      code = from.codes[at / 2] >> (at % 2 * 4) & 15;
    } else if (shape.has_zeros && row < shape.n && g < from.groups &&
               column / span * span < shape.k) {
      code = from.zeros[SourceRow(shape, from, row) * from.groups + g];  // padding is exactly 0
    }
    out |= code << (4 * nibble);
  }
  reinterpret_cast<uint32_t*>(block)[word] = out;

  const int groups = shape.GroupsPerBlock();
  if (word >= kTileN * groups) return;
  const int64_t row = first_row + word % kTileN;
  const int64_t column = first_column + word / kTileN * span;
  const int64_t g = column / shape.group;
  const bool inside = row < shape.n && column < shape.k;
  const int64_t group = SourceRow(shape, from, row) * from.groups + g;
  *reinterpret_cast<uint16_t*>(to + shape.ScaleOffset(row, column)) =
      inside ? Times(from.scales[group], from.times) : uint16_t{0};
  if (shape.has_zeros) {
    to[shape.ZeroOffset(row, column)] = inside ? from.zeros[group] : uint8_t{0};
  }
}

}  // namespace

void PackQ4OnDevice(const Queue& queue, const Q4Shape& shape, const CanonicalQ4& from,
                    uint8_t* to) {
  const dim3 grid(static_cast<unsigned>(shape.RowTiles()),
                  static_cast<unsigned>(shape.BlocksPerRow()));
  Launch(queue, PackKernel, grid, kThreads, 0, shape, from, to);
}

}  // namespace awq::cuda
