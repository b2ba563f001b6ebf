#include "awq/backend/cuda/pack_q8_device.h"

#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = kBlockK;  // one an input of a block

// One thread block a block of the layout.
__global__ void __launch_bounds__(kThreads)
    PackKernel(Q8Shape shape, CanonicalQ8 from, uint8_t* to) {
  WaitForPreviousKernel();  // the next one may read weights before it waits: it comes afterwards
  const int64_t column = int64_t{blockIdx.y} * kBlockK + threadIdx.x;
  const int64_t g = column / shape.group;
  for (int r = 0; r < kTileN; ++r) {
    const int64_t row = int64_t{blockIdx.x} * kTileN + r;
    const bool known = row < shape.n && g < from.groups;
    const uint8_t zero = from.zeros == nullptr ? 128
                         : known               ? from.zeros[row * from.groups + g]
                                               : 0;
    const bool inside = known && column < shape.k;
    to[shape.CodeOffset(row, column)] = inside ? from.codes[row * shape.k + column] : zero;
    if (column % kBlockK % min(shape.group, int64_t{kBlockK}) != 0) continue;
    *reinterpret_cast<float*>(to + shape.ScaleOffset(row, column)) =
        known ? from.scales[row * from.groups + g] : 0.0f;
    to[shape.ZeroOffset(row, column)] = zero;
  }
}

}  // namespace

void PackQ8OnDevice(const Queue& queue, const Q8Shape& shape, const CanonicalQ8& from,
                    uint8_t* to) {
  const dim3 grid(static_cast<unsigned>(shape.RowTiles()),
                  static_cast<unsigned>(shape.BlocksPerRow()));
  Launch(queue, PackKernel, grid, kThreads, 0, shape, from, to);
}

}  // namespace awq::cuda
