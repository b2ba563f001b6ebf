#include "awq/backend/cuda/integer_q8.h"

#include "awq/backend/cuda/integer_launch.cuh"

namespace awq::cuda {
namespace {

template <typename T>
IntegerKernel KernelOf(const Q8Shape& shape, int64_t rows) {
  return shape.GroupsPerBlock() == 1 ? IntegerKernelOf<T, Q8Codes<1>>(rows, shape.BlocksPerRow())
                                     : IntegerKernelOf<T, Q8Codes<2>>(rows, shape.BlocksPerRow());
}
IntegerKernel KernelOf(const Q8Shape& shape, const TensorView& x) {
  return x.dtype == DType::kF16 ? KernelOf<__half>(shape, x.dim(0))
                                : KernelOf<__nv_bfloat16>(shape, x.dim(0));
}

}  // namespace

bool PrefersIntegerQ8(const Q8Weight& w, const TensorView& x, const TensorView& y,
                      const DeviceLimits& device) {
  return (x.dtype == DType::kF16 || x.dtype == DType::kBF16) &&
         (y.dtype == x.dtype || y.dtype == DType::kF32) && w.k() % 8 == 0 &&
         x.strides[0] % 8 == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0 &&
         FitsInteger(KernelOf(w.shape(), x), x.dim(0), device) &&
         WorthInteger(w.shape().RowTiles(), device);
}

void IntegerQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
               const TensorView& x, const TensorView& bias, const TensorView& y) {
  LaunchInteger(KernelOf(w.shape(), x),
                {.blocks = w.blocks(),
                 .scale = 1.0f,
                 .row_tiles = static_cast<int>(w.shape().RowTiles()),
                 .blocks_per_row = static_cast<int>(w.shape().BlocksPerRow()),
                 .x = x.data,
                 .x_stride = x.strides[0],
                 .bias = bias.As<const float>(),
                 .y = y.data,
                 .y_stride = y.strides[0],
                 .y_f32 = y.dtype == DType::kF32,
                 .gate = -1,
                 .m = static_cast<int>(x.dim(0)),
                 .n = static_cast<int>(w.n()),
                 .k = static_cast<int>(w.k())},
                device, queue);
}

}  // namespace awq::cuda
