#include "awq/backend/cuda/wide_q8.h"

#include <array>
#include <atomic>

#include "awq/backend/cuda/direct_q8.h"
#include "awq/backend/cuda/wide_linear.cuh"

namespace awq::cuda {
namespace {

// One or two rows are for integer_q8; more than these are multiplied as floats.
constexpr int64_t kFewestRows = 3;
constexpr int64_t kMostRows = 256;

// The tiles, and what the plan takes them to need, are those of 4 bits.
template <typename T, int kGroups, const WideTile& kTile>
WideKernel KernelOf(const Q8Shape& shape) {
  using Codes = WideQ8<kGroups>;
  using Size = WideSize<kTile.rows, kTile.warpgroups, Codes::kMostBytes>;
  static std::array<std::atomic<int>, kWideParts + 1> clusters = {};
  return {.tile = kTile,
          .function = reinterpret_cast<const void*>(&WideLinear<T, Codes, Size>),
          .threads = Size::kThreads,
          .shared = Size::SharedBytes(static_cast<int>(shape.BlockBytes())),
          .clusters = clusters.data()};
}

template <typename T, int kGroups>
WideKernel KernelOf(const Q8Shape& shape, int64_t rows) {
  return rows <= 16   ? KernelOf<T, kGroups, kWide16x4>(shape)
         : rows <= 32 ? KernelOf<T, kGroups, kWide32x4>(shape)
         : rows <= 64 ? KernelOf<T, kGroups, kWide64x4>(shape)
                      : KernelOf<T, kGroups, kWide128x4>(shape);
}

template <typename T>
WideKernel KernelOf(const Q8Shape& shape, int64_t rows) {
  return shape.GroupsPerBlock() == 1 ? KernelOf<T, 1>(shape, rows) : KernelOf<T, 2>(shape, rows);
}

}  // namespace

bool PrefersWideQ8(const Q8Weight& w, const TensorView& x, const TensorView& y,
                   const DeviceLimits& device) {
  return device.arch == 90 && w.k() % 8 == 0 && IsReadableQ8(x, y) && x.dim(0) >= kFewestRows &&
         x.dim(0) <= kMostRows;
}

void WideLinearQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
                  const TensorView& x, const TensorView& bias, const TensorView& y) {
  const Q8Shape& shape = w.shape();
  const int64_t rows = x.dim(0);
  const WideKernel kernel =
      x.dtype == DType::kF16 ? KernelOf<__half>(shape, rows) : KernelOf<__nv_bfloat16>(shape, rows);
  const WideProblem problem = {.blocks = w.blocks(),
                               .n = w.n(),
                               .k = w.k(),
                               .row_tiles = shape.RowTiles(),
                               .blocks_per_row = shape.BlocksPerRow(),
                               .block_bytes = shape.BlockBytes(),
                               .scale = w.scale_unit(),
                               .scale_unit = 1.0f / w.scale_unit(),
                               .m = rows,
                               .x = x.data,
                               .x_stride = x.strides[0],
                               .bias = bias.As<const float>(),
                               .y = y.data,
                               .y_stride = y.strides[0],
                               .y_f32 = y.dtype == DType::kF32,
                               .gate = -1};
  LaunchWide(kernel, problem, device, {.stream = queue.stream, .overlap = queue.overlap});
}

}  // namespace awq::cuda
