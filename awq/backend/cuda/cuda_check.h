// AWQ_CUDA(call): throws Error kDevice (kOutOfMemory for failed allocations) naming the call.
#pragma once

#include <cuda_runtime_api.h>

#include "awq/base/error.h"

namespace awq::cuda {

inline void Check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  const ErrorCode code =
      status == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kDevice;
  Fail(code, call, ": ", cudaGetErrorName(status), ", ", cudaGetErrorString(status));
}

}  // namespace awq::cuda

#define AWQ_CUDA(call) ::awq::cuda::Check((call), #call)
