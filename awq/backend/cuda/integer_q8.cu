#include "awq/backend/cuda/integer_q8.h"

#include "awq/backend/cuda/direct_q8.h"
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
  return w.k() % 8 == 0 && IsReadableQ8(x, y) &&
         FitsInteger(KernelOf(w.shape(), x), x.dim(0), device) &&
         WorthInteger(w.shape().RowTiles(), device);
}

void IntegerQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
               const TensorView& x, const TensorView& bias, const TensorView& y) {
  LaunchInteger(KernelOf(w.shape(), x), DirectArgsOf(BlocksOf(w, x, bias, y)), device, queue);
}

}  // namespace awq::cuda
