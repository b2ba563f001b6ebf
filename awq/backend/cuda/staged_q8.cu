#include "awq/backend/cuda/staged_q8.h"

#include "awq/backend/cuda/direct_q8.h"
#include "awq/backend/cuda/staged_linear.cuh"

namespace awq::cuda {
namespace {

constexpr int64_t kFewestRows = 33;  // direct_q8 reads weights once for 32

template <typename T, int kGroups>
StagedKernel KernelOf(const BlockProblem& p, const DeviceLimits& device) {
  using Codes = StagedQ8<kGroups>;
  const StagedKernel kernels[] = {StagedKernelOf<T, Codes, Size32x128>(kStaged32x128),
                                  StagedKernelOf<T, Codes, Size64x128>(kStaged64x128),
                                  StagedKernelOf<T, Codes, Size128x128>(kStaged128x128)};
  StagedKernel best = kernels[0];
  for (const StagedKernel& kernel : kernels) {
    if (!FitsStaged(kernel, device)) continue;
    if (StagedCycles(kernel, p, device) < StagedCycles(best, p, device)) best = kernel;
  }
  return best;
}
template <typename T>
StagedKernel KernelOf(const Q8Shape& shape, const BlockProblem& p, const DeviceLimits& device) {
  return shape.GroupsPerBlock() == 1 ? KernelOf<T, 1>(p, device) : KernelOf<T, 2>(p, device);
}

}  // namespace

bool PrefersStagedQ8(const Q8Weight& w, const TensorView& x, const TensorView& y,
                     const DeviceLimits& device) {
  return WantsStaged(device) && w.k() % 8 == 0 && IsReadableQ8(x, y) && x.dim(0) >= kFewestRows;
}

void StagedLinearQ8(const Queue& queue, const DeviceLimits& device, const Q8Weight& w,
                    const TensorView& x, const TensorView& bias, const TensorView& y,
                    GrowingBuffer& workspace) {
  const BlockProblem problem = BlocksOf(w, x, bias, y);
  const StagedKernel kernel = x.dtype == DType::kF16
                                  ? KernelOf<__half>(w.shape(), problem, device)
                                  : KernelOf<__nv_bfloat16>(w.shape(), problem, device);
  LaunchStaged(queue, device, kernel, problem,
               workspace.Take(StagedWorkspace(kernel, problem, device)));
}

}  // namespace awq::cuda
