#include "awq/backend/cuda/staged_q4.h"

#include "awq/backend/cuda/staged_linear.cuh"

namespace awq::cuda {
namespace {

template <typename T, typename Size>
StagedKernel KernelOf(const StagedTile& tile, const Q4Shape& shape) {
  return WithScheme(shape, [&](auto groups, auto zeros) {
    return StagedKernelOf<T, StagedQ4<groups, zeros>, Size>(tile);
  });
}
template <typename Size>
StagedKernel KernelOf(const StagedTile& tile, const LinearQ4& p) {
  return p.act == DType::kF16 ? KernelOf<__half, Size>(tile, p.shape)
                              : KernelOf<__nv_bfloat16, Size>(tile, p.shape);
}

}  // namespace

StagedKernel Staged32x128(const LinearQ4& p) { return KernelOf<Size32x128>(kStaged32x128, p); }
StagedKernel Staged64x128(const LinearQ4& p) { return KernelOf<Size64x128>(kStaged64x128, p); }
StagedKernel Staged64x256(const LinearQ4& p) { return KernelOf<Size64x256>(kStaged64x256, p); }
StagedKernel Staged128x128(const LinearQ4& p) { return KernelOf<Size128x128>(kStaged128x128, p); }
StagedKernel Staged128x256(const LinearQ4& p) { return KernelOf<Size128x256>(kStaged128x256, p); }

}  // namespace awq::cuda
