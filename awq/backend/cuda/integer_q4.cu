#include "awq/backend/cuda/integer_q4.h"

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/integer_q4.cuh"

namespace awq::cuda {
namespace {

constexpr int kDepth = 2;
constexpr int kMostShared = 100 << 10;  // of one of two thread blocks
constexpr int kLongRow = 64;            // blocks: from there on one thread block an SM makes digits
constexpr double kLeastTiles = 4.5;     // an SM: fewer are not worth the digits

struct Kernel {
  const void* function;
  int warps, blocks;  // thread blocks that share an SM
  int shared;         // bytes
};

template <typename T, int kGroups, bool kZeros>
Kernel KernelOf(const LinearQ4& p) {
  const int row = static_cast<int>(p.shape.BlocksPerRow());
  const int shared = IntegerSharedBytes<kGroups>(static_cast<int>(p.m), row);
  if (row >= kLongRow) {
    return {reinterpret_cast<const void*>(&IntegerQ4<T, kGroups, kZeros, 32, kDepth, 1>), 32, 1,
            shared};
  }
  return {reinterpret_cast<const void*>(&IntegerQ4<T, kGroups, kZeros, 16, kDepth, 2>), 16, 2,
          shared};
}
template <typename T, int kGroups>
Kernel KernelOf(const LinearQ4& p) {
  return p.shape.has_zeros ? KernelOf<T, kGroups, true>(p) : KernelOf<T, kGroups, false>(p);
}
template <typename T>
Kernel KernelOf(const LinearQ4& p) {
  const int groups = p.shape.GroupsPerBlock();
  return groups == 4 ? KernelOf<T, 4>(p) : groups == 2 ? KernelOf<T, 2>(p) : KernelOf<T, 1>(p);
}
Kernel KernelOf(const LinearQ4& p) {
  return p.act == DType::kF16 ? KernelOf<__half>(p) : KernelOf<__nv_bfloat16>(p);
}

}  // namespace

bool SupportsInteger(const LinearQ4& p, const DeviceLimits& device) {
  return device.arch >= 80 && p.m <= kMaxIntegerRows &&
         KernelOf(p).shared <= std::min(kMostShared, device.shared_per_block);
}

bool WorthInteger(const LinearQ4& p, const DeviceLimits& device) {
  return device.arch == 90 && static_cast<double>(p.shape.RowTiles()) >= kLeastTiles * device.sms;
}

void LaunchInteger(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  const Kernel kernel = KernelOf(p);
  IntegerArgs args = {DirectArgsOf(p), 0, 0};
  const int blocks = std::min(args.row_tiles, kernel.blocks * device.sms);
  args.tiles = args.row_tiles / blocks;
  args.longer_blocks = args.row_tiles % blocks;
  AWQ_CUDA(cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                std::min(kMostShared, device.shared_per_block)));
  cudaLaunchConfig_t launch = {};
  launch.gridDim = dim3(static_cast<unsigned>(blocks));
  launch.blockDim = dim3(static_cast<unsigned>(32 * kernel.warps));
  launch.dynamicSmemBytes = static_cast<size_t>(kernel.shared);
  LaunchLinear(launch, kernel.function, &args, device, context);
}

}  // namespace awq::cuda
