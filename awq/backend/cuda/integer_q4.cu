#include "awq/backend/cuda/integer_q4.h"

#include "awq/backend/cuda/integer_launch.cuh"

namespace awq::cuda {
namespace {

template <typename T, int kGroups>
IntegerKernel KernelOf(const LinearQ4& p) {
  const int64_t row = p.shape.BlocksPerRow();
  return p.shape.has_zeros ? IntegerKernelOf<T, Q4Codes<kGroups, true>>(p.m, row)
                           : IntegerKernelOf<T, Q4Codes<kGroups, false>>(p.m, row);
}
template <typename T>
IntegerKernel KernelOf(const LinearQ4& p) {
  const int groups = p.shape.GroupsPerBlock();
  return groups == 4 ? KernelOf<T, 4>(p) : groups == 2 ? KernelOf<T, 2>(p) : KernelOf<T, 1>(p);
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
  LaunchInteger(KernelOf(p), DirectArgsOf(p), device,
                {.stream = context.stream, .overlap = context.overlap && device.arch >= 90});
}

}  // namespace awq::cuda
