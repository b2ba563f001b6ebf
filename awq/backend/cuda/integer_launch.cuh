// How the kernels of integer.cuh are arranged and launched.
#pragma once

#include <algorithm>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/integer.cuh"
#include "awq/backend/cuda/launch.h"

namespace awq::cuda {

inline constexpr int kMostIntegerShared = 100 << 10;  // bytes, of one of two thread blocks
inline constexpr int kLongRow = 64;  // blocks: from there on one thread block an SM makes digits
inline constexpr double kLeastTiles = 4.5;  // an SM: fewer are not worth the digits

struct IntegerKernel {
  void (*function)(IntegerArgs);
  int warps, blocks;  // thread blocks that share an SM
  int shared;         // bytes
};

template <typename T, typename Codes>
IntegerKernel IntegerKernelOf(int64_t rows, int64_t blocks_per_row) {
  const int shared =
      IntegerSharedBytes<Codes::kGroups>(static_cast<int>(rows), static_cast<int>(blocks_per_row));
  if (blocks_per_row >= kLongRow) {
    return {&IntegerLinear<T, Codes, 32, Codes::kDepth, 1>, 32, 1, shared};
  }
  return {&IntegerLinear<T, Codes, 16, Codes::kDepth, 2>, 16, 2, shared};
}

inline bool FitsInteger(const IntegerKernel& kernel, int64_t rows, const DeviceLimits& device) {
  return device.arch >= 80 && rows <= kMaxIntegerRows &&
         kernel.shared <= std::min(kMostIntegerShared, device.shared_per_block);
}
inline bool WorthInteger(int64_t row_tiles, const DeviceLimits& device) {
  return device.arch == 90 && static_cast<double>(row_tiles) >= kLeastTiles * device.sms;
}

inline void LaunchInteger(const IntegerKernel& kernel, const DirectArgs& args,
                          const DeviceLimits& device, const Queue& queue) {
  const int blocks = std::min(args.row_tiles, kernel.blocks * device.sms);
  AWQ_CUDA(cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                std::min(kMostIntegerShared, device.shared_per_block)));
  Launch(queue, kernel.function, static_cast<unsigned>(blocks),
         static_cast<unsigned>(32 * kernel.warps), kernel.shared,
         IntegerArgs{args, args.row_tiles / blocks, args.row_tiles % blocks});
}

}  // namespace awq::cuda
