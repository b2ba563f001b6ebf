#include "awq/backend/cuda/integer_q4.h"

#include "awq/backend/cuda/integer_launch.cuh"

namespace awq::cuda {
namespace {

template <typename T>
IntegerKernel KernelOf(const LinearQ4& p) {
  return WithScheme(p.shape, [&](auto groups, auto zeros) {
    return IntegerKernelOf<T, Q4Codes<groups, zeros>>(p.m, p.shape.BlocksPerRow());
  });
}
IntegerKernel KernelOf(const LinearQ4& p) {
  return p.act == DType::kF16 ? KernelOf<__half>(p) : KernelOf<__nv_bfloat16>(p);
}

}  // namespace

bool SupportsIntegerQ4(const LinearQ4& p, const DeviceLimits& device) {
  return FitsInteger(KernelOf(p), p.m, device);
}

bool WorthIntegerQ4(const LinearQ4& p, const DeviceLimits& device) {
  return WorthInteger(p.shape.RowTiles(), device);
}

void LaunchIntegerQ4(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  LaunchInteger(KernelOf(p), DirectArgsOf(BlocksOf(p, 1.0f)), device,
                {.stream = context.stream, .overlap = context.overlap && device.arch >= 90});
}

}  // namespace awq::cuda
