#include "awq/backend/cuda/wide_q8.h"

#include <array>
#include <atomic>

#include "awq/backend/cuda/direct_q8.h"
#include "awq/backend/cuda/wide_linear.cuh"

namespace awq::cuda {
namespace {

constexpr int64_t kFewestRows = 3;  // one or two are for integer_q8

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
WideKernel KernelOf(const Q8Shape& shape, const BlockProblem& p, const DeviceLimits& device) {
  if (p.m <= 16) return KernelOf<T, kGroups, kWide16x4>(shape);
  if (p.m <= 32) return KernelOf<T, kGroups, kWide32x4>(shape);
  if (p.m <= 64) return KernelOf<T, kGroups, kWide64x4>(shape);
  const WideKernel few = KernelOf<T, kGroups, kWide128x4>(shape);
  if (p.m <= 256) return few;  // by one column of tiles it is slower (docs/kernels.md)
  const WideKernel many = KernelOf<T, kGroups, kWide256x2>(shape);
  const auto us = [&](const WideKernel& kernel) {
    return WideMicroseconds(kernel.tile, CutFor(kernel, p, device), device.sms);
  };
  return us(many) < us(few) ? many : few;
}

template <typename T>
WideKernel KernelOf(const Q8Shape& shape, const BlockProblem& p, const DeviceLimits& device) {
  return shape.GroupsPerBlock() == 1 ? KernelOf<T, 1>(shape, p, device)
                                     : KernelOf<T, 2>(shape, p, device);
}

}  // namespace

bool PrefersWideQ8(const Q8Weight& w, const TensorView& x, const TensorView& y,
                   const DeviceLimits& device) {
  return device.arch == 90 && w.k() % 8 == 0 && IsReadableQ8(x, y) && x.dim(0) >= kFewestRows;
}

void WideLinearQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
                  const TensorView& x, const TensorView& bias, const TensorView& y) {
  const Q8Shape& shape = w.shape();
  const BlockProblem problem = BlocksOf(w, x, bias, y);
  const WideKernel kernel = x.dtype == DType::kF16
                                ? KernelOf<__half>(shape, problem, device)
                                : KernelOf<__nv_bfloat16>(shape, problem, device);
  LaunchWide(kernel, problem, device, {.stream = queue.stream, .overlap = queue.overlap});
}

}  // namespace awq::cuda
